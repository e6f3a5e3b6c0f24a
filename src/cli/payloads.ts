/** What `pub` sends: one payload from a flag, a file or stdin, or one for each line of stdin. Bytes stay bytes. */
import { readFile } from 'node:fs/promises'
import type { Console } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'

export interface PayloadFlags {
  readonly message?: string
  readonly file?: string
  readonly stdinFile?: true
  readonly stdinLine?: true
  readonly nullMessage?: true
  readonly repeat: number
  readonly repeatDelay: number
}

/** The most MQTT can carry. */
const PAYLOAD_BYTES_MAX = 268_435_455
const NEWLINE = 0x0a

/** @throws CommandError unless exactly one source is given. */
export function checkPayloadFlags(flags: PayloadFlags): void {
  const sources = [flags.message, flags.file, flags.stdinFile, flags.stdinLine, flags.nullMessage]
  const given = sources.filter((source) => source !== undefined).length
  if (given === 0) throw usage('no message: give one of -m, -f, -s, -l or -n')
  if (given > 1) throw usage('-m, -f, -s, -l and -n: use one of them')
  if (flags.repeat > 1 && flags.stdinLine) throw usage('--repeat does not go with -l')
}

export async function* payloads(flags: PayloadFlags, console: Console): AsyncGenerator<Uint8Array> {
  if (flags.stdinLine) {
    yield* lines(console.input)
    return
  }
  const payload = await onePayload(flags, console)
  for (let sent = 0; sent < flags.repeat; sent += 1) {
    if (sent > 0 && flags.repeatDelay > 0) await console.after(flags.repeatDelay, console.interrupted)
    if (console.interrupted.aborted) return
    yield payload
  }
}

async function onePayload(flags: PayloadFlags, console: Console): Promise<Uint8Array> {
  if (flags.message !== undefined) return new TextEncoder().encode(flags.message)
  if (flags.nullMessage) return new Uint8Array()
  if (flags.stdinFile) return whole(console.input)
  const file = flags.file as string
  try {
    return await readFile(file)
  } catch (error) {
    throw new CommandError(ExitCode.FAILED, `-f ${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

async function whole(input: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of input) {
    bytes += chunk.length
    if (bytes > PAYLOAD_BYTES_MAX) {
      throw new CommandError(ExitCode.FAILED, `-s: the input is longer than ${PAYLOAD_BYTES_MAX} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Without their newline; a last line that has none counts too. */
export async function* lines(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array[] = []
  for await (const chunk of input) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield Buffer.concat([...pending, chunk.subarray(start, end)])
      pending = []
      start = end + 1
    }
    if (start < chunk.length) pending.push(chunk.subarray(start))
  }
  if (pending.length > 0) yield Buffer.concat(pending)
}

function usage(message: string): CommandError {
  return new CommandError(ExitCode.USAGE, message)
}
