/** `ledger show`: rows of the ledger summed over their hours, an account a line, the busiest first. */
import { droppedOf, hourStart, type LedgerRow, refusedOf } from '../index.js'
import { printable } from './received-message.js'

interface AccountSum {
  readonly clientId: string
  readonly topicClass: string
  readonly isTransient: boolean
  accepted: number
  acceptedBytes: number
  duplicates: number
  refused: number
  enqueued: number
  enqueuedBytes: number
  delivered: number
  deliveredBytes: number
  dropped: number
  abandoned: number
  purged: number
  moved: number
  /** At the end of the last hour. */
  queued: number
}

const COLUMNS = [
  'accepted',
  'duplicates',
  'refused',
  'enqueued',
  'delivered',
  'dropped',
  'abandoned',
  'purged',
  'moved',
  'queued',
] as const

export class AccountSums {
  readonly #sums = new Map<string, AccountSum>()
  #firstHour = Number.POSITIVE_INFINITY
  #lastHour = 0
  #openHours = 0

  /** In the order of hours. */
  add(row: LedgerRow): void {
    const { clientId, topicClass, isTransient, hour } = row
    if (hour !== this.#lastHour && !row.isClosed) this.#openHours += 1
    this.#firstHour = Math.min(this.#firstHour, hour)
    this.#lastHour = Math.max(this.#lastHour, hour)
    const key = JSON.stringify([clientId, topicClass, isTransient])
    let sum = this.#sums.get(key)
    if (sum === undefined) {
      sum = newSum(clientId, topicClass, isTransient)
      this.#sums.set(key, sum)
    }
    sum.accepted += row.accepted.count
    sum.acceptedBytes += row.accepted.bytes
    sum.duplicates += row.duplicates
    sum.refused += refusedOf(row)
    sum.enqueued += row.enqueued.count
    sum.enqueuedBytes += row.enqueued.bytes
    sum.delivered += row.delivered.count
    sum.deliveredBytes += row.delivered.bytes
    sum.dropped += droppedOf(row)
    sum.abandoned += row.abandoned.count
    sum.purged += row.purged.count
    sum.moved += row.moved.count
    sum.queued = row.queued.count
  }

  #sorted(): AccountSum[] {
    const traffic = ({ accepted, enqueued }: AccountSum) => accepted + enqueued
    return [...this.#sums.values()].sort((one, other) => traffic(other) - traffic(one))
  }

  toJson(): object {
    const isEmpty = this.#sums.size === 0
    const from = isEmpty ? null : hourStart(this.#firstHour)
    return { from, to: isEmpty ? null : hourStart(this.#lastHour + 1), accounts: this.#sorted() }
  }

  toText(): string {
    if (this.#sums.size === 0) return 'The ledger has nothing in these hours.\n'
    const open = this.#openHours === 0 ? '' : ', the last of them not closed yet'
    const period = `${hourStart(this.#firstHour)} to ${hourStart(this.#lastHour + 1)}${open}; QoS 1 and 2 only`
    const lines = [['client', 'class', ...COLUMNS]]
    for (const sum of this.#sorted())
      lines.push([nameOf(sum), sum.topicClass, ...COLUMNS.map((name) => `${sum[name]}`)])
    return `${period}\n\n${aligned(lines)}`
  }
}

function newSum(clientId: string, topicClass: string, isTransient: boolean): AccountSum {
  const publisher = { accepted: 0, acceptedBytes: 0, duplicates: 0, refused: 0 }
  const came = { enqueued: 0, enqueuedBytes: 0, delivered: 0, deliveredBytes: 0, dropped: 0 }
  return { clientId, topicClass, isTransient, ...publisher, ...came, abandoned: 0, purged: 0, moved: 0, queued: 0 }
}

function nameOf({ clientId, isTransient }: AccountSum): string {
  const name = clientId === '' ? '(the broker)' : printable(clientId)
  return isTransient ? `${name} (transient)` : name
}

/** Names to the left, numbers to the right. */
function aligned(lines: readonly string[][]): string {
  const widths = (lines[0] as string[]).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const text = lines.map((line) =>
    line
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return `${text.join('\n')}\n`
}
