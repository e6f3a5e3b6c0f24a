/**
 * The books: one append-only text file per client, written before a message leaves and after one has come, by whoever
 * sent or got it. A line is a mark and its fields. Nobody but their owner writes them, the judge only reads, and a
 * person can, too:
 *
 *   publisher  `S order topic` sent · `A order` PUBACK or PUBREC came · `R order code` refused · `X order` given up
 *   consumer   `D publisher order topic qos` delivered, and with a cursor: `session sequence`
 *   both       `N` the broker had lost the session · `! sentence` what must not happen
 *
 * A line that ends with `~` was torn when its writer was killed, and counts for nothing.
 */
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'

export type BookMark = 'S' | 'A' | 'R' | 'X' | 'D' | 'N' | '!'

export function bookPath(directory: string, name: string): string {
  return `${directory}/${name}.book`
}

export class BookWriter {
  readonly #file: number
  #lines = ''

  constructor(path: string) {
    this.#file = openSync(path, 'a+')
    const { size } = fstatSync(this.#file)
    const last = Buffer.alloc(1)
    if (size > 0) readSync(this.#file, last, 0, 1, size - 1)
    if (size > 0 && last.toString() !== '\n') writeSync(this.#file, '~\n')
  }

  add(mark: BookMark, ...fields: readonly (string | number)[]): void {
    this.#lines += `${[mark, ...fields].join(' ')}\n`
  }

  /** Afterwards the operating system has what was added: it outlives this process. */
  write(): void {
    if (this.#lines === '') return
    writeSync(this.#file, this.#lines)
    this.#lines = ''
  }
}

const READ_BYTES = 1 << 20

/** Reads on where it stopped; a line that is not finished waits for the next time. */
export class BookReader {
  readonly #path: string
  readonly #bytes = Buffer.allocUnsafe(READ_BYTES)
  #position = 0
  #rest = ''

  constructor(path: string) {
    this.#path = path
  }

  /** @returns the number of lines. */
  read(enter: (mark: BookMark, fields: readonly string[]) => void): number {
    const file = openSync(this.#path, 'a+')
    let lines = 0
    try {
      for (;;) {
        const bytes = readSync(file, this.#bytes, 0, READ_BYTES, this.#position)
        if (bytes === 0) return lines
        this.#position += bytes
        const text = (this.#rest + this.#bytes.toString('latin1', 0, bytes)).split('\n')
        this.#rest = text.pop() ?? ''
        lines += text.length
        for (const line of text) {
          if (line.endsWith('~')) continue
          const [mark, ...fields] = line.split(' ')
          enter(mark as BookMark, fields)
        }
      }
    } finally {
      closeSync(file)
    }
  }
}
