/** A growing list of numbers, eight bytes each: what is kept of a hundred thousand rows without an object for any. */
const CAPACITY_MIN = 1_024

export class NumberColumn {
  #values = new Float64Array(CAPACITY_MIN)
  length = 0

  push(value: number): void {
    if (this.length === this.#values.length) this.#reserve(this.length + 1)
    this.#values[this.length] = value
    this.length += 1
  }

  pushZeros(count: number): void {
    this.#reserve(this.length + count)
    this.length += count
  }

  #reserve(length: number): void {
    if (length <= this.#values.length) return
    const grown = new Float64Array(Math.max(length, 2 * this.#values.length))
    grown.set(this.#values)
    this.#values = grown
  }

  at(index: number): number {
    return this.#values[index] as number
  }

  set(index: number, value: number): void {
    this.#values[index] = value
  }

  /** Of ascending values: where this one is, or -1. */
  find(value: number): number {
    let low = 0
    let high = this.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const found = this.#values[middle] as number
      if (found === value) return middle
      if (found < value) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
}
