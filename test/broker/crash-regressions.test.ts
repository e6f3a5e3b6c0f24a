/** What the crash fuzz found, each as the shortest story that shows it; the seed is the one that showed it first. */
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import type { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { checkStore, rowCounts } from '../support/durable-state.js'
import { type TestBroker, testBroker } from '../support/test-broker.js'

const SLOW_TRIM = { checkpointTrimmedPerCommit: 1 }

/** One turn, and its commit done. */
function commitOnce(host: TestBroker): void {
  host.turn()
  ;(host.store as MemoryStore).settleNext()
}

t.test(
  'seed 1: an older session, ended and half forgotten, does not hide the present one after a restart',
  async (t) => {
    const host = testBroker({ pace: SLOW_TRIM })
    host.resume('meter').subscribe('a', 1)
    host.resume('meter', { cleanStart: true }).subscribe('b', 1)
    host.core.checkpoint()
    commitOnce(host)
    t.ok(rowCounts(host.store).journal > 2, 'the beginning of the first session is still in the journal')
    t.equal(rowCounts(host.store).sessions, 1, 'its row is not')
    const next = host.crash()
    next.connect('sender').publish('b', 'for the present session', 1)
    const again = next.resume('meter')
    t.equal(again.take('CONNACK')[0]?.sessionPresent, true)
    t.same(again.drain(), ['for the present session'])
  },
)

t.test(
  'seed 31: a queue without Session State keeps its bodies when durable copies and their rows are gone',
  async (t) => {
    const host = testBroker()
    const passing = host.connect('passing', { properties: { receiveMaximum: 1 } })
    passing.subscribe('a', 1)
    const lasting = host.resume('lasting')
    lasting.subscribe('a', 1)
    const sender = host.connect('sender')
    for (const payload of ['one', 'two', 'three']) sender.publish('a', payload, 1)
    host.settle()
    host.core.checkpoint()
    host.settle()
    t.equal(rowCounts(host.store).messages, 3)
    t.same(lasting.drain(), ['one', 'two', 'three'])
    t.equal(rowCounts(host.store).messages, 0)
    t.same(passing.drain(), ['one', 'two', 'three'])
  },
)

t.test(
  'seed 1494: what a member without Session State leaves to its group is stored, whoever had it before',
  async (t) => {
    for (const isRowWritten of [false, true]) {
      const host = testBroker()
      const passing = host.connect('passing', { properties: { receiveMaximum: 1 } })
      passing.subscribe('$share/g/a', 1)
      const lasting = host.resume('lasting')
      lasting.subscribe('a', 1)
      const sender = host.connect('sender')
      for (const payload of ['one', 'two']) sender.publish('a', payload, 1)
      host.settle()
      if (isRowWritten) host.core.checkpoint()
      host.settle()
      lasting.drain()
      host.resume('heir').subscribe('$share/g/a', 1)
      passing.cut()
      const next = host.crash()
      t.same(next.resume('heir').drain(), ['one', 'two'])
      next.core.checkpoint()
      next.settle()
      checkStore(next.store)
      t.equal(rowCounts(next.store).messages + rowCounts(next.store).references, 0)
    }
  },
)

t.test('a restart in the middle of a purge still gives the rest to the share group', async (t) => {
  const host = testBroker({ pace: { purgedPerTurn: 1, ...SLOW_TRIM } })
  const leaving = host.resume('leaving')
  leaving.subscribe('$share/g/a', 1)
  leaving.cut()
  const sender = host.connect('sender')
  const sent = Array.from({ length: 8 }, (_, index) => `m${index}`)
  for (const payload of sent) sender.publish('a', payload, 1)
  host.settle()
  host.resume('heir').subscribe('$share/g/a', 1)
  const client = host.open()
  const connect = { type: PacketType.CONNECT, protocolLevel: 5, clientId: 'leaving', keepAliveSec: 0 } as const
  client.send({ ...connect, cleanStart: true, properties: {} })
  host.core.checkpoint()
  commitOnce(host)
  commitOnce(host)
  t.ok(host.core.state.endedSessions.size > 0, 'the purge is not done')
  const next = host.crash()
  t.same(next.resume('heir').drain().sort(), sent)
})

t.test('a Will that the crash made due is not called off by a client that is back first', async (t) => {
  const host = testBroker()
  const watcher = host.resume('watcher')
  watcher.subscribe('will/#', 2)
  const will = {
    topicName: 'will/meter',
    payload: new Uint8Array([33]),
    qos: 2,
    retain: false,
    properties: {},
  } as const
  host.resume('meter', { will })
  const next = host.crash()
  next.resume('meter')
  t.same(next.resume('watcher').drain(), ['!'])
})

t.test('losses that a CONNACK has told are not told again after a restart', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 1 } })
  const meter = host.resume('meter')
  meter.subscribe('a', 1)
  meter.cut()
  const sender = host.connect('sender')
  for (const payload of ['one', 'two', 'three']) sender.publish('a', payload, 1)
  host.settle()
  const told = (host: TestBroker) => host.resume('meter').take('CONNACK')[0]?.resume?.lost
  t.same(told(host), [{ reason: 'queue-full', messages: 2 }])
  t.same(told(host.crash()), [])
})

t.test('a refusal after PUBREC frees the packet id for the journal too', async (t) => {
  const host = testBroker()
  const meter = host.resume('meter', { properties: { receiveMaximum: 1 } })
  meter.subscribe('a', 2)
  const sender = host.connect('sender')
  sender.publish('a', 'one', 2)
  host.settle()
  meter.ack(PacketType.PUBREC, 1)
  meter.ack(PacketType.PUBREC, 1, 0x80)
  host.settle()
  const next = host.crash()
  t.same(next.resume('meter').take('PUBREL'), [])
})
