/**
 * The process as the commands see it: data to stdout, everything else to stderr, and a reader that goes away (`| head`)
 * is a normal end. Passed in, so that tests need no process.
 */
import { randomInt } from 'node:crypto'
import { CommandError, ExitCode } from './exit-codes.js'
import { readHidden } from './hidden-input.js'

export interface Console {
  /** Bytes as a string, one character each. */
  write(bytes: string): void
  /** Bytes written that nobody has read yet. */
  readonly pendingBytes: number
  /** Resolves when what was written has been taken; a slow reader slows the writer down. */
  drained(): Promise<void>
  log(line: string): void
  /** A line that the next one replaces. Only on a terminal. */
  status(line: string): void
  readonly environment: { readonly [name: string]: string | undefined }
  readonly input: AsyncIterable<Uint8Array>
  /** Asks at the terminal for a line that is not shown. null: stdin is none. */
  readonly askHidden: ((prompt: string) => Promise<string>) | null
  now(): Date
  /** From 0 up to 1. */
  random(): number
  /** Resolves after the time, or as soon as the signal fires. */
  after(delayMs: number, signal?: AbortSignal): Promise<void>
  readonly processId: number
  readonly errorIsTerminal: boolean
  /** Fires on SIGINT and SIGTERM. */
  readonly interrupted: AbortSignal
  /** Calls `run` on every SIGHUP, which no longer ends the process then. */
  onHangup(run: () => void): void
  /** Fires when nobody reads stdout any more. */
  readonly outputClosed: AbortSignal
}

const CLEAR_LINE = '\r\x1b[2K'

/** The real one. A second signal ends the process at once: by itself, as `process.exit` waits for busy threads. */
export function processConsole(): Console {
  const interruption = new AbortController()
  const outputEnd = new AbortController()
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') outputEnd.abort()
    else throw error
  })
  // A log nobody reads must not end the work.
  process.stderr.on('error', () => {})
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (interruption.signal.aborted) {
        process.removeAllListeners(signal)
        process.kill(process.pid, signal)
      }
      interruption.abort()
    })
  }
  return {
    write: (bytes) => {
      if (!outputEnd.signal.aborted) process.stdout.write(bytes, 'latin1')
    },
    get pendingBytes() {
      return process.stdout.writableLength
    },
    now: () => new Date(),
    random: () => randomInt(2 ** 32) / 2 ** 32,
    after,
    drained: () => drained(outputEnd.signal),
    log: (line) => process.stderr.write(`${process.stderr.isTTY ? CLEAR_LINE : ''}${line}\n`),
    status: (line) => process.stderr.write(`${CLEAR_LINE}${line}`),
    environment: process.env,
    get input() {
      return process.stdin
    },
    // Asked for when it is needed: opening stdin has effects.
    get askHidden() {
      const { stdin, stderr } = process
      return stdin.isTTY ? (prompt: string) => readHidden(prompt, stdin, (text) => void stderr.write(text)) : null
    },
    processId: process.pid,
    errorIsTerminal: process.stderr.isTTY === true,
    interrupted: interruption.signal,
    onHangup: (run) => {
      process.on('SIGHUP', run)
    },
    outputClosed: outputEnd.signal,
  }
}

function drained(outputClosed: AbortSignal): Promise<void> {
  if (!process.stdout.writableNeedDrain || outputClosed.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    process.stdout.once('drain', resolve)
    outputClosed.addEventListener('abort', () => resolve(), { once: true })
  })
}

function after(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, delayMs)
    signal?.addEventListener('abort', done)
    if (signal?.aborted) done()
  })
}

/** Resolves when the signal fires, at once if it has. */
export function fired(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** Runs one command to its exit code; every error becomes a sentence. */
export async function runCommand(console: Console, command: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await command()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    console.log(`tallymq: ${error.message}`)
    return error instanceof CommandError ? error.exitCode : ExitCode.FAILED
  }
}
