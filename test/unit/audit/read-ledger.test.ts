/** The books as rows: closed hours and the one under way, in order, and only what is asked for. */
import t from 'tap'
import { LEDGER_COLUMNS, ledgerCells } from '../../../src/audit/ledger-columns.js'
import { ledgerRows } from '../../../src/audit/read-ledger.js'
import { testBroker } from '../../support/test-broker.js'

const HOUR_MS = 3_600_000

function bookedStore() {
  const host = testBroker({ limits: { queueMessagesMax: 3 } })
  const lasting = { properties: { sessionExpiryIntervalSec: 0xffff_ffff } }
  host.resume('reader', lasting).subscribe('a/#', 1).cut()
  const writer = host.resume('writer', lasting)
  for (let hour = 0; hour < 3; hour += 1) {
    for (const topic of ['a/1', 'b/1']) writer.publish(topic, `${hour}${hour}`, 1)
    host.settle()
    if (hour < 2) host.advance(HOUR_MS)
  }
  writer.publish('a/2', 'too many', 1)
  writer.publish('a/\u0000', 'refused', 1)
  host.settle()
  return host
}

t.test('hours in order, closed ones first, and balances that are carried', async (t) => {
  const host = bookedStore()
  const rows = [...ledgerRows(host.store)]
  const hours = rows.map(({ hour }) => hour)
  t.same(
    hours,
    [...hours].sort((one, other) => one - other),
  )
  const reader = rows.filter(({ clientId }) => clientId === 'reader')
  t.same(
    reader.map(({ isClosed, opening, enqueued, queued }) => [isClosed, opening.count, enqueued.count, queued.count]),
    [
      [true, 0, 1, 1],
      [true, 1, 1, 2],
      [false, 2, 2, 3],
    ],
  )
  t.match(reader[2], { dropped: { 'queue-full': { count: 1 } }, queued: { bytes: 15 } })
  const ofB = rows.filter(({ topicClass }) => topicClass === 'b')
  t.same(
    ofB.map(({ accepted, unrouted }) => [accepted.count, unrouted]),
    [
      [1, 1],
      [1, 1],
      [1, 1],
    ],
  )
})

t.test('a client, a class, some hours', async (t) => {
  const { store } = bookedStore()
  const all = [...ledgerRows(store)]
  const [{ hour } = { hour: 0 }] = all
  t.equal([...ledgerRows(store, { clientId: 'reader' })].length, 3)
  t.equal([...ledgerRows(store, { topicClass: 'b' })].length, 3)
  t.equal([...ledgerRows(store, { fromHour: hour + 1, untilHour: hour + 2 })].length, all.length / 3)
  t.equal([...ledgerRows(store, { fromHour: hour + 2 })].filter(({ isClosed }) => isClosed).length, 0)
  t.equal([...ledgerRows(store, { untilHour: hour })].length, 0)
})

t.test('every cell has its column', async (t) => {
  for (const row of ledgerRows(bookedStore().store)) {
    const cells = Object.fromEntries(LEDGER_COLUMNS.map((name, index) => [name, ledgerCells(row)[index]]))
    t.equal(ledgerCells(row).length, LEDGER_COLUMNS.length)
    t.match(cells, { hour: /^\d{4}-\d\d-\d\dT\d\d:00:00Z$/, client_id: row.clientId, queued_bytes: row.queued.bytes })
    t.match(cells, { dropped_queue_full: row.dropped['queue-full']?.count ?? 0, is_closed: row.isClosed })
  }
})
