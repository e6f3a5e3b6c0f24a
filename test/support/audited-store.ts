/** A store with rows in every table, as a busy broker leaves it, and the same as a data directory. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { STORE_TABLES, type Store, type StoreTable } from '../../src/core/ports/store.js'
import { PacketType } from '../../src/protocol/packets.js'
import { systemTimers } from '../../src/server/system-clock.js'
import { SLOT_BYTES_DEFAULT } from '../../src/storage/lmdb/journal/journal-file.js'
import { slotNames } from '../../src/storage/lmdb/journal/slot-names.js'
import { openLmdbStore } from '../../src/storage/lmdb/open-lmdb-store.js'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { copyStore } from './durable-state.js'
import { message, numbered, openProducer, produce } from './produce.js'
import { testBroker } from './test-broker.js'

export const BACKLOG = 600

/** Rows in every table, and a journal with a tail: a deep queue, QoS 2 half done, a share group, retained messages. */
export function auditedStore(): MemoryStore {
  const host = testBroker({ limits: { queueWindowMessages: 4 } })
  const biller = host.resume('biller', { properties: { receiveMaximum: 3 } })
  biller.subscribe('meters/#', 2)
  host.resume('archive').subscribe('meters/+/kwh', 1).cut()
  host.resume('member').subscribe('$share/g/meters/#', 1).cut()
  const meter = host.resume('meter')
  for (let number = 0; number < BACKLOG; number += 1) meter.publish(`meters/${number % 7}/kwh`, `${number}`, 2)
  meter.publish('meters/1/state', 'on', 1, { retain: true })
  meter.publish('meters/2/state', 'off', 1, { retain: true })
  meter.publish('meters/3/image', new Uint8Array(10_000).fill(7), 1, { retain: true })
  openProducer(meter)
  produce(meter, 1, [...numbered('meters/8/kwh', 1, 3), message('meters/#', 'refused')])
  openProducer(meter, { id: 2, handle: 2 })
  const userProperties: [string, string][] = [['idempotency-key', 'invoice 7']]
  meter.publish('meters/9/invoice', 'seven', 1, { properties: { userProperties } })
  host.settle()
  host.core.checkpoint()
  host.settle()
  const [first] = biller.take('PUBLISH')
  biller.ack(PacketType.PUBREC, first?.packetId ?? 0)
  host.settle()
  host.core.checkpoint()
  host.settle()
  for (const payload of ['in', 'the journal', 'only']) {
    meter.publish('meters/3/kwh', payload, 1)
    host.settle()
  }
  produce(meter, 5, numbered('meters/8/kwh', 5, 6))
  openProducer(meter, { id: 3, handle: 3 })
  host.settle()
  return copyStore(host.store)
}

function isSlotReady(directory: string): boolean {
  const [name] = slotNames(directory)
  return name !== undefined && statSync(join(directory, name)).size >= SLOT_BYTES_DEFAULT
}

/** The same rows in a data directory, written in many commits so that pages have been freed and used again. */
export async function writeDirectory(store: Store, directory: string): Promise<void> {
  const lmdb = await openLmdbStore({ directory, durability: 'os', commitTimeoutMs: 60_000, timers: systemTimers })
  const commit = (operations: Parameters<typeof lmdb.commit>[0]) =>
    new Promise<void>((resolve, reject) => {
      lmdb.commit(operations, (error) => (error === null ? resolve() : reject(error)))
    })
  const rowsOf = (table: StoreTable) => [...store.entries({ table })].map((entry) => ({ table, ...entry }))
  const rows = STORE_TABLES.filter((table) => table !== 'journal').flatMap(rowsOf)
  for (let from = 0; from < rows.length; from += 50) {
    await commit(rows.slice(from, from + 50).map((row) => ({ kind: 'put', ...row })))
  }
  const again = rows[0] as (typeof rows)[0]
  for (let times = 0; times < 5; times += 1) await commit([{ kind: 'put', ...again }])
  // The first record asks for a slot of the journal file, which is made in the background: it lies in LMDB itself.
  for (const [index, row] of rowsOf('journal').entries()) {
    await commit([{ kind: 'put', ...row }])
    while (index === 0 && !isSlotReady(directory)) await commit([{ kind: 'put', ...again }])
  }
  await lmdb.close()
}
