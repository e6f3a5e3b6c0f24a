/** What arrives at a peer, in order, for tests that wait for the n-th thing and never for time. */
export class Inbox<Item> {
  readonly items: Item[] = []
  #wake: () => void = () => {}
  #taken = 0

  push(item: Item): void {
    this.items.push(item)
    this.#wake()
  }

  /** Resolves with everything once it is so many, or more. */
  async count(items: number): Promise<readonly Item[]> {
    while (this.items.length < items) await this.#next()
    return this.items
  }

  /** The first item not yet taken that fits; those before it stay. */
  async find(fits: (item: Item) => boolean): Promise<Item> {
    for (;;) {
      const found = this.items.findIndex((item, index) => index >= this.#taken && fits(item))
      if (found >= 0) {
        this.#taken = found + 1
        return this.items[found] as Item
      }
      await this.#next()
    }
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#wake
      this.#wake = () => {
        before()
        resolve()
      }
    })
  }
}
