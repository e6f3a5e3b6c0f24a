/** One suite for every outbox adapter: what was committed is there after closing and opening again. */
import 'fake-indexeddb/auto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { OutboxEntry, OutboxStore } from '../../../src/client/outbox.js'
import { openIndexedDbOutbox } from '../../../src/client/outbox-indexeddb.js'
import { openLmdbOutbox } from '../../../src/client/outbox-lmdb.js'
import { openMemoryOutbox } from '../../../src/client/outbox-memory.js'

const ADAPTERS: Record<string, (t: Test) => () => Promise<OutboxStore>> = {
  memory: () => {
    const store = openMemoryOutbox()
    return async () => store
  },
  lmdb: (t) => {
    const directory = join(t.testdir(), 'outbox')
    return async () => openLmdbOutbox(directory)
  },
  indexeddb: (t) => () => openIndexedDbOutbox(t.fullname),
}

for (const [name, adapter] of Object.entries(ADAPTERS)) {
  t.test(`${name}: entries come back in the order of their sequence, whole`, async (t) => {
    const open = adapter(t)
    const full: OutboxEntry = {
      ...entry(300),
      payload: new Uint8Array([0, 255, 128]),
      qos: 2,
      retain: true,
      properties: { contentType: 'é', correlationData: new Uint8Array([1]), userProperties: [['a', 'b']] },
    }
    let store = await open()
    t.same(await store.load(), { entries: [], receivedPacketIds: [] })
    await store.commit([{ kind: 'publish', entry: full }])
    await store.commit([
      { kind: 'publish', entry: entry(2) },
      { kind: 'publish', entry: entry(70_000) },
    ])
    await store.close()
    store = await open()
    const { entries } = await store.load()
    t.same(
      entries.map((each) => each.sequence),
      [2, 300, 70_000],
    )
    t.same(plain(entries[1] as OutboxEntry), plain(full))
    await store.close()
  })

  t.test(`${name}: release and remove, in one commit or several`, async (t) => {
    const open = adapter(t)
    let store = await open()
    await store.commit([1, 2, 3].map((sequence) => ({ kind: 'publish' as const, entry: entry(sequence) })))
    await store.commit([{ kind: 'release', sequence: 1 }])
    await store.commit([
      { kind: 'release', sequence: 2 },
      { kind: 'remove', sequence: 2 },
      { kind: 'release', sequence: 99 },
      { kind: 'publish', entry: entry(4) },
      { kind: 'remove', sequence: 4 },
    ])
    await store.close()
    store = await open()
    const { entries } = await store.load()
    t.same(
      entries.map((each) => [each.sequence, each.state]),
      [
        [1, 'released'],
        [3, 'published'],
      ],
    )
    await store.close()
  })

  t.test(`${name}: receipts are kept until they end`, async (t) => {
    const open = adapter(t)
    let store = await open()
    await store.commit([5, 6, 7].map((packetId) => ({ kind: 'receipt' as const, packetId })))
    await store.commit([
      { kind: 'receipt', packetId: 6 },
      { kind: 'receipt-end', packetId: 7 },
      { kind: 'receipt-end', packetId: 8 },
    ])
    await store.close()
    store = await open()
    t.same((await store.load()).receivedPacketIds, [5, 6])
    await store.commit([{ kind: 'receipts-clear' }, { kind: 'receipt', packetId: 9 }])
    t.same((await store.load()).receivedPacketIds, [9])
    await store.close()
  })
}

t.test('lmdb: the directory is for its owner only', async (t) => {
  const directory = join(t.testdir(), 'deep', 'outbox')
  const store = openLmdbOutbox(directory)
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.equal(statSync(join(directory, 'data.mdb')).mode & 0o077, 0)
  await store.close()
})

function entry(sequence: number): OutboxEntry {
  const payload = new TextEncoder().encode(`payload ${sequence}`)
  const packetId = (sequence % 65_535) + 1
  return { sequence, packetId, topicName: 'a', payload, qos: 1, retain: false, properties: null, state: 'published' }
}

/** Buffers and Uint8Arrays with the same bytes are the same here. */
function plain(each: OutboxEntry): unknown {
  const correlationData = each.properties?.correlationData
  return {
    ...each,
    payload: [...each.payload],
    properties: { ...each.properties, correlationData: correlationData === undefined ? null : [...correlationData] },
  }
}
