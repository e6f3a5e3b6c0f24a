/**
 * A store of format 1, as the last build before producers and ledger left it: its rows stand here as that build wrote
 * them, journal, session, messages and retained. This build reads them, counts what it finds, and goes on.
 */
import t from 'tap'
import { RECORD_FORMAT } from '../../src/core/facts.js'
import { Slot } from '../../src/core/ledger/tally.js'
import { readRecord } from '../../src/core/record-reader.js'
import type { StoreTable } from '../../src/core/ports/store.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { checkLedger, checkStore } from '../support/durable-state.js'
import { FakeClock } from '../support/fake-clock.js'
import { testBroker } from '../support/test-broker.js'

/** For `reader` two copies are in flight and two wait, two more found no room; `writer` has a Will. */
const ROWS: readonly (readonly [StoreTable, key: string, value: string])[] = [
  ['journal', '0000000000000005', '0180d095ffbc310503040101010103010301'],
  ['journal', '0000000000000006', '0180d095ffbc31050305010202010e0180d095ffbc31901c00'],
  [
    'journal',
    '0000000000000007',
    '0180d095ffbc310903010105036d2f32013402010001040105010135020100010401050101360a010101050101370a0101',
  ],
  [
    'sessions',
    '0000000000000001',
    '05020672656164657200901c00000004020102036d2f230001000002022202040200032103040300010100070104010700',
  ],
  [
    'sessions',
    '0000000000000002',
    '05020677726974657200901c000001066d2f77696c6c04676f6e65013c0001010001020000010100000000',
  ],
  ['messages', '0000000000000003', '0501036d2f310133010000'],
  ['messages', '0000000000000004', '0501066d2f6b657074016b010000'],
  ['retained', Buffer.from('m/kept').toString('hex'), '05066d2f6b657074016b010000'],
]
const WRITTEN_AT_MS = 1_700_000_000_000
const LEDGER = { enabled: true, topicClasses: [], topicClassesMax: 9, accountsMax: 99, retentionHours: 9 }

function oldStore(): MemoryStore {
  const store = new MemoryStore({ settle: 'manual' })
  const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
  const put = ROWS.map(([table, key, value]) => ({ kind: 'put', table, key: bytes(key), value: bytes(value) }) as const)
  store.commit(put, () => undefined)
  store.settleAll()
  return store
}

t.test('its messages, Wills and retained messages are there, and the ledger begins with what it finds', async (t) => {
  checkStore(oldStore())
  const clock = new FakeClock()
  clock.set(WRITTEN_AT_MS + 1_000)
  let host = testBroker({ store: oldStore(), clock, ledger: LEDGER })
  host.settle()
  checkLedger(host.core.state)
  checkStore(host.store)
  const adopted = [...host.core.state.ledger.accounts.values()].map(({ totals }) => totals.get(Slot.ADOPTED))
  t.equal(
    adopted.reduce((sum, each) => sum + each, 0),
    4,
    'copies that nobody has counted',
  )
  const watcher = host.connect('watcher')
  watcher.subscribe('m/#', 1)
  t.same(watcher.drain(), ['k'], 'retained')
  host.advance(60_000)
  t.same(watcher.drain(), ['gone'], 'the Will of a connection that the power cut took')
  host = host.crash()
  const reader = host.resume('reader')
  t.same(reader.drain(), ['3', 'k', '4', '5', 'gone'])
  checkLedger(host.core.state)
  checkStore(host.store)
})

t.test('what it goes on with is a store of the new format: folded, nothing old is left', async (t) => {
  const clock = new FakeClock()
  clock.set(WRITTEN_AT_MS + 1_000)
  const host = testBroker({ store: oldStore(), clock, ledger: LEDGER })
  host.settle()
  host.core.checkpoint()
  host.settle()
  const nothing = new Proxy({}, { get: () => () => undefined })
  for (const { value } of host.store.entries({ table: 'journal' })) {
    t.equal(value[0], RECORD_FORMAT)
    readRecord(value, nothing as never)
  }
  checkStore(host.store)
})

t.test('a record of a format to come is refused, with its number', async (t) => {
  const record = Uint8Array.of(RECORD_FORMAT + 1, 0, 0, 0)
  t.throws(() => readRecord(record, {} as never), { message: /format 3: this build reads 1 to 2/ })
})
