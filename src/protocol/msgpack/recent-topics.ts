/**
 * The last topics of one connection, by their bytes: a few slots, in which a topic has one place and the newer one
 * wins. Only what has passed all checks is put in, so what is found needs none. Empty it holds next to nothing.
 */
const SLOTS = 16
/** Longer topics are decoded afresh each time: what every connection keeps has to stay small. */
const TOPIC_BYTES_MAX = 256

interface Slot {
  /** At least as long as the topic. */
  bytes: Uint8Array
  length: number
  text: string
}

export class RecentTopics {
  readonly #slots: (Slot | null)[] = []

  /** @returns null: not among them. */
  get(bytes: Uint8Array, start: number, end: number): string | null {
    const slot = this.#slots[slotOf(bytes, start, end)]
    const length = end - start
    if (!slot || slot.length !== length) return null
    const known = slot.bytes
    for (let index = 0; index < length; index += 1) if (known[index] !== bytes[start + index]) return null
    return slot.text
  }

  set(bytes: Uint8Array, start: number, end: number, text: string): void {
    const length = end - start
    if (length > TOPIC_BYTES_MAX) return
    const index = slotOf(bytes, start, end)
    while (this.#slots.length <= index) this.#slots.push(null)
    let slot = this.#slots[index] ?? null
    if (slot === null || slot.bytes.length < length) {
      slot = { bytes: new Uint8Array((length + 15) & ~15), length, text }
      this.#slots[index] = slot
    }
    for (let at = 0; at < length; at += 1) slot.bytes[at] = bytes[start + at] as number
    slot.length = length
    slot.text = text
  }
}

/** Levels near the end tell topics of one device apart; the first bytes are usually the same. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const last = bytes[end - 1] as number
  const middle = bytes[start + ((end - start) >> 1)] as number
  return (last * 7 + middle * 3 + end - start) & (SLOTS - 1)
}
