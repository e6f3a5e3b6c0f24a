/**
 * After a start, quiet sessions and their accounts are known by a few numbers and read when somebody asks for them:
 * who wakes them, that nothing of the journal's tail is lost on the way, and that the books stay as exact as they were.
 */
import t from 'tap'
import { checkLedger, checkStore, durableState } from '../support/durable-state.js'
import { type TestBroker, testBroker } from '../support/test-broker.js'

const LEDGER = { enabled: true, topicClasses: [], topicClassesMax: 9, accountsMax: 99, retentionHours: 1_000 }
const PACE = { ledgerRowsPerCommit: 1, checkpointRowsPerCommit: 1 }

/** Four sleepers with one copy in their rows, and one more in the journal's tail for the first three. */
function filled(): TestBroker {
  const host = testBroker({ pace: PACE, ledger: LEDGER })
  for (const name of ['a', 'b', 'c', 'd']) host.resume(name).subscribe(`for/${name}`, 1).host.settle()
  host.resume('wide').subscribe('for/+/more', 1)
  const writer = host.connect('writer')
  for (const name of ['a', 'b', 'c', 'd', 'wide']) host.resume(name).disconnect()
  for (const name of ['a', 'b', 'c', 'd']) writer.publish(`for/${name}`, `${name}1`, 1)
  host.settle()
  host.core.checkpoint()
  host.settle()
  for (const name of ['a', 'b', 'c']) writer.publish(`for/${name}`, `${name}2`, 2)
  host.settle()
  return host.crash()
}

const asleep = (host: TestBroker) => host.core.state.sleepingSessions.count

t.test('they count as sessions, subscriptions and copies', async (t) => {
  const host = filled()
  const { sleepingSessions } = host.core.state
  t.equal(asleep(host), 4, 'all without a wildcard')
  t.equal(host.core.sessionCount, 5)
  t.equal(host.core.subscriptionCount, 5)
  t.equal(sleepingSessions.copies, 7)
  t.equal(sleepingSessions.copyBytes, 7 * 'for/a'.length + 7 * 2)
  host.core.state.wakeAll()
  t.equal(asleep(host), 0)
  t.equal(sleepingSessions.copies, 0)
  t.equal(sleepingSessions.copyBytes, 0)
  t.equal(host.core.sessionCount, 5)
  t.equal(host.core.subscriptionCount, 5)
  checkLedger(host.core.state)
})

t.test('a publication wakes its subscribers, and a client its session', async (t) => {
  const host = filled()
  const writer = host.connect('writer')
  writer.publish('for/a', 'a3', 1)
  writer.publish('for/nobody', 'x', 1)
  host.settle()
  t.equal(asleep(host), 3)
  t.same(host.resume('b').drain(), ['b1', 'b2'])
  t.equal(asleep(host), 2)
  t.same(host.resume('a').drain(), ['a1', 'a2', 'a3'])
  t.equal(asleep(host), 2)
  checkLedger(host.core.state)
  checkStore(host.store)
})

t.test('what the tail has for them outlives the checkpoint that trims it, whoever is awake by then', async (t) => {
  for (const woken of [[], ['a'], ['c', 'a'], ['d']]) {
    const host = filled()
    const writer = host.connect('writer')
    for (let index = 0; index < 5; index += 1) {
      writer.publish('for/x/more', `wide ${index}`, 1)
      host.settle()
    }
    for (const name of woken) writer.publish(`for/${name}`, `${name}3`, 1)
    host.settle()
    host.core.checkpoint()
    host.settle()
    t.equal(asleep(host), woken.includes('d') ? 0 : 1, 'who is behind the journal has been written')
    const next = host.crash()
    checkStore(next.store)
    for (const name of ['a', 'b', 'c', 'd']) {
      const sent = [`${name}1`, `${name}2`, `${name}3`]
      const expected = sent.filter((_, index) => (index === 1 ? name !== 'd' : index === 0 || woken.includes(name)))
      t.same(next.resume(name).drain(), expected, `${name} after ${woken.join(' ')}`)
    }
    t.equal(next.resume('wide').drain().length, 5)
    checkLedger(next.core.state)
  }
})

t.test('a crash before any checkpoint finds the same again', async (t) => {
  const host = filled()
  host.connect('writer').publish('for/b', 'b3', 1)
  host.settle()
  const next = host.crash()
  t.equal(asleep(next), 4)
  const before = durableState(next.core.state)
  const again = next.crash()
  t.same(durableState(again.core.state), before)
  t.same(again.resume('b').drain(), ['b1', 'b2', 'b3'])
})

t.test('they expire in time, one by one, and their copies are in the books', async (t) => {
  const host = filled()
  host.resume('a').disconnect()
  host.advance(1_800_000)
  host.resume('b').disconnect()
  t.equal(asleep(host), 2)
  t.equal(host.core.nextTimeoutMs() <= host.clock.nowMs() + 1_800_000, true)
  host.advance(1_800_001)
  t.equal(asleep(host), 0)
  t.equal(host.core.sessionCount, 1, 'only b came back late enough')
  t.equal(host.core.counters.dropped['session-ended'], 5, 'two of a and c, one of d')
  checkLedger(host.core.state)
  checkStore(host.store)
})

t.test('an hour that closes wakes the accounts that are in it', async (t) => {
  const host = filled()
  host.advance(3_600_000 - 1)
  host.connect('writer').publish('for/x/more', 'later', 1)
  host.advance(3_600_000)
  checkLedger(host.core.state)
  checkStore(host.store)
  const rows = [...host.store.entries({ table: 'ledger' })].length
  t.ok(rows >= 5, `writer and the four sessions have a row, of ${rows}`)
  const next = host.crash()
  checkLedger(next.core.state)
  checkStore(next.store)
})

t.test('who has a Will, a share or a connection is awake at once', async (t) => {
  const host = testBroker({ ledger: LEDGER })
  host.resume('shared').subscribe('$share/g/x', 1)
  host.resume('connected').subscribe('y', 1)
  const will = { topicName: 'w', payload: new Uint8Array(1), qos: 1 as const, retain: false }
  host.resume('willing', { will: { ...will, properties: { willDelayIntervalSec: 60 } } }).cut()
  host.resume('quiet').subscribe('z', 1).disconnect()
  host.settle()
  host.core.checkpoint()
  host.settle()
  const next = host.crash()
  t.equal(asleep(next), 1)
  const { sessions } = next.core.state
  t.same([...sessions.awake()].map(({ clientId }) => clientId).sort(), ['connected', 'shared', 'willing'])
})
