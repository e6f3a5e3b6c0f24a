/**
 * Who else is in the books: Wills, retained copies, presence, producers, idempotency keys, delivery cursors, and what
 * stands in for clients and topic classes beyond the bounds. A broker that starts on the store says the same.
 */
import t, { type Test } from 'tap'
import { droppedSlot, Slot } from '../../src/core/ledger/tally.js'
import { type LedgerOptions, DEFAULT_LEDGER } from '../../src/core/limits.js'
import type { Access } from '../../src/core/ports/access.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { type WillMessage, PacketType, ProducerReason } from '../../src/protocol/packets.js'
import { utf8Encode } from '../../src/base/utf8.js'
import { checkLedger, checkStore } from '../support/durable-state.js'
import { message, numbered, openProducer, produce } from '../support/produce.js'
import { ALLOW_ALL, type TestBroker, testBroker } from '../support/test-broker.js'

type Booked = Readonly<Record<string, number>>
const NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(Slot).map(([name, slot]) => [slot, name.toLowerCase()]),
)

/** Everything in the books of a client, without bytes; `class` narrows it to one topic class. */
function booked(host: TestBroker, clientId: string, topicClass?: string): Booked {
  checkLedger(host.core.state)
  const sums: Record<string, number> = {}
  for (const account of host.core.state.ledger.accounts.values()) {
    if (account.clientId !== clientId) continue
    if (topicClass !== undefined && account.topicClass?.name !== topicClass) continue
    for (const [slot, count] of account.totals.entries()) {
      const isDropped = slot >= Slot.DROPPED && slot < Slot.REFUSED
      const name = isDropped || slot >= Slot.REFUSED ? `${slot}` : (NAMES[slot] as string)
      if (!name.endsWith('_bytes') && !(isDropped && slot % 2 === 1)) sums[name] = (sums[name] ?? 0) + count
    }
  }
  return sums
}

/** The same is in the store. */
function surely(t: Test, host: TestBroker, expected: Readonly<Record<string, Booked>>): void {
  host.settle()
  for (const [clientId, sums] of Object.entries(expected)) t.same(booked(host, clientId), sums, clientId)
  const next = host.crash()
  for (const [clientId, sums] of Object.entries(expected))
    t.same(booked(next, clientId), sums, `${clientId}, restarted`)
  checkStore(next.store)
}

const refused = (reasonCode: number) => `${Slot.REFUSED + reasonCode}`
const NOT_TO_SECRETS: Access = {
  ...ALLOW_ALL,
  allowsEverything: false,
  authorize: (_session, action, topic) => action !== 'publish' || !topic.startsWith('secret'),
}

function will(more: Partial<WillMessage> = {}): WillMessage {
  return { topicName: 'w', payload: utf8Encode('gone'), qos: 1, retain: false, properties: {}, ...more }
}

t.test('a Will is accepted when it is sent, not when it is left with the broker', async (t) => {
  const host = testBroker()
  host.resume('watcher').subscribe('w', 1)
  host.resume('a', { will: will({ properties: { willDelayIntervalSec: 5 } }) }).cut()
  host.settle()
  t.same(booked(host, 'a'), {})
  host.advance(5_000)
  surely(t, host, { a: { accepted: 1 }, watcher: { enqueued: 1 } })
})

t.test('a Will that may not be published is refused', async (t) => {
  let isAllowed = true
  const access = { ...NOT_TO_SECRETS, authorize: () => isAllowed }
  const host = testBroker({ access })
  host.resume('watcher').subscribe('#', 1)
  const client = host.resume('a', { will: will() })
  const other = host.resume('b', { will: will({ qos: 0 }) })
  // Since it was left with the broker the rules have changed.
  isAllowed = false
  client.cut()
  other.cut()
  surely(t, host, { a: { [refused(ReasonCode.NOT_AUTHORIZED)]: 1 }, b: {}, watcher: {} })
})

t.test('retained copies for a new subscriber are enqueued, and accepted only once', async (t) => {
  const host = testBroker()
  host.connect('writer').publish('a/1', 'x', 1, { retain: true })
  host.settle()
  t.same(booked(host, 'writer'), { accepted: 1, unrouted: 1 })
  const reader = host.resume('reader')
  reader.subscribe('a/#', 1)
  host.settle()
  t.same(booked(host, 'reader'), { enqueued: 1 })
  reader.drain()
  reader.subscribe('a/#', 1)
  reader.drain()
  t.same(booked(host, 'writer'), { accepted: 1, unrouted: 1 })
  surely(t, host, { reader: { enqueued: 2, delivered: 2 } })
})

t.test('presence is at QoS 0 and in no book', async (t) => {
  const host = testBroker({ presence: true })
  const watcher = host.resume('watcher')
  watcher.subscribe('$SYS/clients/#', 2)
  host.connect('a').disconnect()
  host.settle()
  t.equal(watcher.take('PUBLISH').length, 2)
  t.equal(host.core.state.ledger.accounts.size, 0)
})

t.test('producers: accepted, come again, refused', async (t) => {
  const host = testBroker({ access: NOT_TO_SECRETS })
  host.resume('reader').subscribe('#', 1)
  const client = host.resume('meter')
  openProducer(client)
  produce(client, 1, [...numbered('a', 1, 3), message('secret/a', 'x'), message('a', 'm5', { qos: 2 })])
  host.settle()
  produce(client, 4, [message('secret/a', 'x'), message('a', 'm5', { qos: 2 }), message('a', 'm6')])
  const meter = { accepted: 5, duplicates: 2, [refused(ReasonCode.NOT_AUTHORIZED)]: 1 }
  surely(t, host, { meter, reader: { enqueued: 5 } })
})

t.test('an atomic batch that is refused is refused as a whole, each message by its reason', async (t) => {
  const host = testBroker({ access: NOT_TO_SECRETS })
  host.resume('reader').subscribe('#', 1)
  const client = host.resume('meter')
  openProducer(client)
  produce(client, 1, [message('a', 'm1'), message('secret', 'm2'), message('a', 'm3')], { isAtomic: true })
  host.settle()
  const meter = { [refused(ReasonCode.NOT_AUTHORIZED)]: 1, [refused(ProducerReason.BATCH_REFUSED)]: 2 }
  surely(t, host, { meter, reader: {} })
})

t.test('an idempotency key that comes again is a duplicate; with other content it is refused', async (t) => {
  const host = testBroker()
  host.resume('reader').subscribe('#', 1)
  const client = host.resume('meter')
  const properties = { userProperties: [['idempotency-key', 'k1'] as const] as [string, string][] }
  for (const payload of ['x', 'x', 'y']) client.publish('a', payload, 1, { properties })
  const meter = { accepted: 1, duplicates: 1, [refused(ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR)]: 1 }
  surely(t, host, { meter, reader: { enqueued: 1 } })
})

t.test('what a delivery cursor has is delivered', async (t) => {
  const host = testBroker()
  const reader = host.resume('reader')
  const sessionNumber = reader.take('CONNACK')[0]?.sessionNumber ?? 0
  reader.subscribe('#', 2)
  const writer = host.connect('writer')
  for (const qos of [1, 2, 1] as const) writer.publish('a', 'x', qos)
  host.settle()
  const second = reader.take('PUBLISH').find(({ qos }) => qos === 2)
  reader.ack(PacketType.PUBREC, second?.packetId ?? 0)
  host.settle()
  reader.cut()
  host.resume('reader', { deliveryCursor: { sessionNumber, deliverySequence: 2 } })
  surely(t, host, { reader: { enqueued: 3, delivered: 2 } })
})

function bounded(ledger: Partial<LedgerOptions>): TestBroker {
  return testBroker({ ledger: { ...DEFAULT_LEDGER, ...ledger } })
}

t.test('clients beyond accountsMax share the account `*`, which balances like any other', async (t) => {
  const host = bounded({ accountsMax: 1 })
  const one = host.resume('one')
  const other = host.resume('other')
  for (const reader of [one, other]) reader.subscribe('#', 1)
  host.resume('writer').publish('a', 'x', 1)
  host.settle()
  t.same(booked(host, 'writer'), { accepted: 1 }, 'the first has its own')
  t.same(booked(host, '*'), { enqueued: 2 })
  one.drain()
  surely(t, host, { '*': { enqueued: 2, delivered: 1 }, one: {}, other: {} })
})

t.test('classes beyond topicClassesMax are `*`; configured filters name classes', async (t) => {
  const host = bounded({ topicClasses: ['meters/+/power'], topicClassesMax: 2 })
  const writer = host.resume('writer')
  for (const topic of ['meters/1/power', 'doors/1', 'meters/2/power', 'meters/2/heat', 'lamps']) {
    writer.publish(topic, 'x', 1)
  }
  host.settle()
  t.same(booked(host, 'writer', 'meters/+/power'), { accepted: 2, unrouted: 2 })
  t.same(booked(host, 'writer', 'doors'), { accepted: 1, unrouted: 1 })
  t.same(booked(host, 'writer', '*'), { accepted: 2, unrouted: 2 })
  surely(t, host, { writer: { accepted: 5, unrouted: 5 } })
})

t.test('a drop is booked under its reason', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 1 } })
  const reader = host.resume('reader')
  reader.subscribe('#', 1)
  reader.cut()
  const writer = host.connect('writer')
  for (const payload of ['1', '2', '3']) writer.publish('a', payload, 1)
  surely(t, host, { reader: { enqueued: 3, [`${droppedSlot('queue-full')}`]: 2 } })
})
