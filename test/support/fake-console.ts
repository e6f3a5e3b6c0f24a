/** A console for the commands, in memory: what they wrote, what they said, and a clock the test moves. */
import type { Console } from '../../src/cli/console.js'

export class FakeConsole implements Console {
  output = ''
  readonly logged: string[] = []
  readonly environment: Record<string, string>
  readonly input: AsyncIterable<Uint8Array>
  readonly askHidden: Console['askHidden']
  readonly processId = 4711
  readonly errorIsTerminal = false
  pendingBytes = 0
  readonly #interruption = new AbortController()
  readonly #waiting: (() => void)[] = []
  readonly interrupted = this.#interruption.signal
  readonly outputClosed = new AbortController().signal

  constructor(
    given: {
      environment?: Record<string, string>
      input?: readonly (string | Uint8Array)[]
      askHidden?: Console['askHidden']
    } = {},
  ) {
    this.environment = given.environment ?? {}
    this.askHidden = given.askHidden ?? null
    const chunks = given.input ?? []
    this.input = (async function* () {
      for (const chunk of chunks) yield typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk
    })()
  }

  write(bytes: string): void {
    this.output += Buffer.from(bytes, 'latin1').toString('utf8')
  }
  async drained(): Promise<void> {}
  log(line: string): void {
    this.logged.push(line)
  }
  status(line: string): void {
    this.logged.push(line)
  }
  now(): Date {
    return new Date('2026-11-20T10:57:21.671Z')
  }
  /** What chance brings, in turn. */
  readonly chances: number[] = []
  random(): number {
    return this.chances.shift() ?? 0
  }
  after(_delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      signal?.addEventListener('abort', () => resolve())
    })
  }
  /** Every pause that is under way ends. */
  timePasses(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
  onHangup(): void {}
  interrupt(): void {
    this.#interruption.abort()
  }
}
