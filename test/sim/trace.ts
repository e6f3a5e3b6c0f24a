/**
 * What happened, as a number that two runs of one seed must share, and, when somebody wants to read it, as lines. The
 * number covers every byte on every wire and every commit, so "the same" means byte for byte.
 */
export class Trace {
  /** null: only the number is kept. */
  readonly lines: string[] | null
  #high = 0x811c_9dc5
  #low = 0x1000_0193

  constructor(isRecording: boolean) {
    this.lines = isRecording ? [] : null
  }

  get hash(): string {
    return hex(this.#high) + hex(this.#low)
  }

  number(value: number): void {
    this.#high = Math.imul(this.#high ^ (value | 0), 0x0100_0193)
    this.#low = Math.imul(this.#low + (value | 0), 0x85eb_ca6b) ^ (this.#low >>> 13)
  }

  bytes(bytes: Uint8Array): void {
    let high = this.#high
    let low = this.#low
    for (let index = 0; index < bytes.length; index += 1) {
      high = Math.imul(high ^ (bytes[index] as number), 0x0100_0193)
      low = Math.imul(low + (bytes[index] as number), 0x85eb_ca6b) ^ (low >>> 13)
    }
    this.#high = high
    this.#low = low
    this.number(bytes.length)
  }

  /** @param name of the client, or 'broker', 'disk', 'fault'. */
  say(nowMs: number, name: string, what: string): void {
    this.lines?.push(`${(nowMs / 1_000).toFixed(3).padStart(9)} s  ${name.padEnd(7)} ${what}`)
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0')
}
