/**
 * Exactly once with SQLite at both ends. A shop takes orders: the order and the message about it are rows of one
 * transaction, so there is never one without the other. A warehouse ships them: the shipment and the cursor are one
 * transaction too, so that no order is shipped twice or forgotten, whatever dies in between.
 *
 * The store is any SQLite with the calls of `Database` below; here it is node-sqlite3-wasm. `synchronous = full`
 * matters: a COMMIT must be on the disk.
 */
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import {
  type Client,
  type ConnectOptions,
  connect,
  type DeliveryCursor,
  type Message,
  type PreparedMessage,
  type Producer,
  type ProducerOutbox,
  type ProducerOutboxChange,
  type ProducerRow,
  prepareMessage,
} from '../../src/client/index.js'

export type Connecting = Omit<ConnectOptions, 'deliveryCursor'>

type Value = number | bigint | string | Uint8Array | null

/** What this example asks of SQLite. */
interface Database {
  readonly isOpen: boolean
  exec(sql: string): void
  run(sql: string, values?: Value[]): unknown
  get(sql: string): Record<string, Value> | null | undefined
  all(sql: string, values?: Value[]): Record<string, Value>[]
  close(): void
}
const sqlite = createRequire(import.meta.url)('node-sqlite3-wasm') as { Database: new (path: string) => Database }

const SHOP_TABLES = `
  create table if not exists orders (id text primary key);
  create table if not exists outbox (sequence integer primary key, batch_rest integer not null, bytes blob not null);
  create table if not exists refusals (sequence integer primary key, reason_code integer not null, reason text);
  create table if not exists producer (only_row integer primary key check (only_row = 1), record blob,
    last_sequence integer not null);
  insert or ignore into producer values (1, null, 0);`

const WAREHOUSE_TABLES = `
  create table if not exists shipments (order_id text primary key, message_id integer not null);
  create table if not exists cursor (only_row integer primary key check (only_row = 1), session_number integer not null,
    delivery_sequence integer not null);`

/** @param path of a file that this process alone opens: a lock that a dead one left behind is removed. */
function openDatabase(path: string, tables: string): Database {
  rmSync(`${path}.lock`, { recursive: true, force: true })
  const database = new sqlite.Database(path)
  database.exec('pragma synchronous = full')
  database.exec(tables)
  return database
}

/** All of `run`, or nothing. */
function transaction<T>(database: Database, run: () => T): T {
  database.exec('begin immediate')
  try {
    const result = run()
    database.exec('commit')
    return result
  } catch (error) {
    if (database.isOpen) database.exec('rollback')
    throw error
  }
}

/** The outbox as three tables in the shop's own database. */
export class SqliteOutbox implements ProducerOutbox {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Inside a transaction of the shop. @returns the last sequence. */
  append(messages: readonly PreparedMessage[]): number {
    let sequence = this.#lastSequence()
    for (const { batchRest, bytes } of messages) {
      sequence += 1
      this.#database.run('insert into outbox values (?, ?, ?)', [sequence, batchRest, bytes])
    }
    this.#database.run('update producer set last_sequence = ?', [sequence])
    return sequence
  }

  async load(): Promise<Uint8Array | null> {
    return this.#database.get('select record from producer')?.record as Uint8Array | null
  }

  async lastSequence(): Promise<number> {
    return this.#lastSequence()
  }

  async read(afterSequence: number, messagesMax: number, bytesMax: number): Promise<readonly ProducerRow[]> {
    const rows: ProducerRow[] = []
    let size = 0
    const found = this.#database.all(
      'select sequence, batch_rest, bytes from outbox where sequence > ? order by sequence limit ?',
      [afterSequence, messagesMax],
    )
    for (const { sequence, batch_rest, bytes } of found) {
      rows.push({ sequence: Number(sequence), batchRest: Number(batch_rest), bytes: bytes as Uint8Array })
      size += (bytes as Uint8Array).length
      if (size >= bytesMax) break
    }
    return rows
  }

  async commit({ append, record, forgetSequence, refusals }: ProducerOutboxChange): Promise<number> {
    return transaction(this.#database, () => {
      const last = this.append(append)
      if (record !== null) this.#database.run('update producer set record = ?', [record])
      this.#database.run('delete from outbox where sequence <= ?', [forgetSequence])
      for (const { sequence, reasonCode, reasonString = null } of refusals) {
        this.#database.run('insert or replace into refusals values (?, ?, ?)', [sequence, reasonCode, reasonString])
      }
      return last
    })
  }

  async close(): Promise<void> {}

  #lastSequence(): number {
    return Number(this.#database.get('select last_sequence from producer')?.last_sequence)
  }
}

export class Shop {
  readonly outbox: SqliteOutbox
  readonly #database: Database

  constructor(path: string) {
    this.#database = openDatabase(path, SHOP_TABLES)
    this.outbox = new SqliteOutbox(this.#database)
  }

  /** @param lastThought runs before the commit: the last moment at which all of it can still be undone. */
  placeOrder(id: string, lastThought: () => void = () => {}): void {
    const message = prepareMessage('orders/new', id, { qos: 2 })
    transaction(this.#database, () => {
      this.#database.run('insert into orders values (?)', [id])
      this.outbox.append([message])
      lastThought()
    })
  }

  orders(): string[] {
    return this.#database.all('select id from orders order by rowid').map(({ id }) => id as string)
  }

  refusals(): string[] {
    return this.#database.all('select reason from refusals order by sequence').map(({ reason }) => reason as string)
  }

  close(): void {
    this.#database.close()
  }
}

/** Sends what is in the outbox and what comes into it: call `producer.flush()` after `placeOrder`. */
export async function sendOrders(shop: Shop, options: Connecting): Promise<{ client: Client; producer: Producer }> {
  const client = await connect({ clientId: 'shop', ...options })
  return { client, producer: await client.openProducer({ outbox: shop.outbox }) }
}

export class Warehouse {
  readonly #database: Database

  constructor(path: string) {
    this.#database = openDatabase(path, WAREHOUSE_TABLES)
  }

  /** null: nothing has been shipped yet. */
  cursor(): DeliveryCursor | null {
    const row = this.#database.get('select session_number, delivery_sequence from cursor')
    if (row === null || row === undefined) return null
    return { sessionNumber: Number(row.session_number), deliverySequence: Number(row.delivery_sequence) }
  }

  ship(message: Message, sessionNumber: number, lastThought: () => void = () => {}): void {
    const { deliverySequence, messageId } = message
    transaction(this.#database, () => {
      this.#database.run('insert into shipments values (?, ?)', [message.text(), messageId as number])
      this.#database.run('insert or replace into cursor values (1, ?, ?)', [sessionNumber, deliverySequence as number])
      lastThought()
    })
  }

  shipments(): string[] {
    return this.#database.all('select order_id from shipments order by rowid').map(({ order_id }) => order_id as string)
  }

  close(): void {
    this.#database.close()
  }
}

/** Ships whatever comes; a message is acknowledged when `ship` has returned, and its COMMIT is on the disk. */
export async function shipOrders(warehouse: Warehouse, options: Connecting): Promise<Client> {
  const client = await connect({ clientId: 'warehouse', ...options, deliveryCursor: warehouse.cursor() })
  await client.subscribe('orders/new', {
    qos: 2,
    onMessage: (message) => warehouse.ship(message, client.connack.sessionNumber as number),
  })
  return client
}
