/** A record hands out exactly the facts that were written into it, whatever it left out as repeated. */
import fc from 'fast-check'
import t from 'tap'
import type { FactHandler } from '../../../src/core/facts.js'
import { Tally } from '../../../src/core/ledger/tally.js'
import { readRecord } from '../../../src/core/record-reader.js'
import { RecordWriter } from '../../../src/core/record-writer.js'

type Call = readonly [name: keyof FactHandler, ...args: unknown[]]

const id = fc.integer({ min: 1, max: 40 })
const bigId = fc.oneof(id, fc.integer({ min: 1, max: 2 ** 50 }))
const packetId = fc.oneof(id, fc.constantFrom(65_534, 65_535, 1))
const topicName = fc.constantFrom('a/b', 'a/b', 'meters/7', 'µ/ü', `long/${'x'.repeat(60)}`)
const reason = fc.constantFrom('expired', 'queue-full', 'offline')
const payload = fc.uint8Array({ maxLength: 80 })
const identifiers = fc.option(fc.array(id, { minLength: 1, maxLength: 3 }))
const terms = fc.record({
  qos: fc.constantFrom(1, 2),
  retain: fc.boolean(),
  subscriptionIdentifiers: identifiers,
  sharedSubscriptionNumber: fc.constantFrom(0, 0, 0, 5),
})
const body = fc.record({
  topicName,
  payload,
  qos: fc.constantFrom(1, 2),
  expiresAtMs: fc.constantFrom(0, 0, 1_700_000_000_000),
  properties: fc.constantFrom(null, null, { contentType: 'text/plain', userProperties: [['a', 'b']] }),
})
const will = fc.option(
  fc.record({
    topicName,
    payload,
    qos: fc.constantFrom(0, 1, 2),
    retain: fc.boolean(),
    properties: fc.constant({ willDelayIntervalSec: 7 }),
  }),
)
const subscription = fc.record({
  shareName: fc.option(fc.constant('group')),
  topicFilter: fc.constantFrom('a/#', '+'),
  qos: fc.constantFrom(0, 1, 2),
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  retainHandling: fc.constantFrom(0, 1, 2),
  subscriptionIdentifier: fc.constantFrom(0, 9),
  subscriptionNumber: id,
  isRetainedPending: fc.boolean(),
})

const producerId = fc.uint8Array({ minLength: 16, maxLength: 16 })
const produced = fc.record({ sequence: bigId, accepted: bigId, refused: fc.nat(), digest: payload })
const refusal = fc.record(
  { sequence: bigId, reasonCode: fc.nat(255), reasonString: fc.constant('not here') },
  { requiredKeys: ['sequence', 'reasonCode'] },
)
const account = fc.constantFrom(0, 3, 3, 3, 70_000)
const tally = fc
  .tuple(fc.nat(5), fc.nat(1), bigId, fc.array(fc.tuple(fc.integer({ min: 6, max: 319 }), bigId)))
  .map(([accepted, enqueued, deliveredBytes, rest]) => {
    const sum = Object.assign(new Tally(), { accepted, enqueued, deliveredBytes })
    for (const [slot, count] of rest) sum.add(slot, count)
    return sum
  })

const call: fc.Arbitrary<Call> = fc.oneof(
  fc.tuple(fc.constant('message' as const), bigId, body, account),
  fc.tuple(
    fc.constant('enqueued' as const),
    id,
    bigId,
    terms,
    fc.nat(200),
    fc.oneof(packetId, fc.constant(0)),
    account,
  ),
  fc.tuple(fc.constantFrom('assigned' as const, 'completed', 'receiptAdded', 'receiptRemoved'), id, packetId),
  fc.tuple(fc.constantFrom('acknowledged' as const, 'released'), id, packetId, bigId),
  fc.tuple(fc.constant('dropped' as const), id, bigId, reason),
  fc.tuple(fc.constant('lost' as const), id, reason, account, fc.nat(200)),
  fc.tuple(fc.constant('droppedInflight' as const), id, packetId, bigId, reason),
  fc.tuple(fc.constant('movedInflight' as const), id, packetId, bigId),
  fc.tuple(fc.constant('moved' as const), id, bigId),
  fc.tuple(fc.constant('sessionOpened' as const), id, fc.constant('client'), fc.option(fc.constant('user'))),
  fc.tuple(fc.constant('sessionConnected' as const), id, fc.nat(), will),
  fc.tuple(fc.constant('sessionDisconnected' as const), id, fc.nat(), fc.nat(), fc.nat()),
  fc.tuple(fc.constant('sessionEnded' as const), id, fc.array(bigId, { maxLength: 4 })),
  fc.tuple(fc.constant('subscribed' as const), id, subscription),
  fc.tuple(fc.constant('unsubscribed' as const), id, fc.option(fc.constant('g')), topicName),
  fc.tuple(fc.constantFrom('willCleared' as const), id),
  fc.tuple(fc.constant('retainedSet' as const), body),
  fc.tuple(fc.constant('retainedCleared' as const), topicName),
  fc.tuple(fc.constant('retainedSent' as const), id, id),
  fc.tuple(fc.constant('producerOpened' as const), producerId, bigId, fc.option(fc.constant('user'))),
  fc.tuple(fc.constant('produced' as const), producerId, produced),
  fc.tuple(fc.constant('producerRefused' as const), producerId, refusal),
  fc.tuple(fc.constant('producerConfirmed' as const), producerId, bigId),
  fc.tuple(fc.constant('keyUsed' as const), producerId, producerId, fc.nat()),
  fc.tuple(fc.constant('ledgerAccount' as const), bigId, fc.constant('client'), topicName, fc.boolean()),
  fc.tuple(fc.constant('ledger' as const), fc.constantFrom(472_222, 472_222, 472_223), bigId, tally),
  fc.tuple(fc.constant('hourClosed' as const), id, fc.uint8Array({ minLength: 32, maxLength: 32 })),
)

/** Neighbours of one kind, as a busy broker writes them. */
const run: fc.Arbitrary<Call[]> = fc
  .tuple(fc.constantFrom('acknowledged' as const, 'released', 'assigned', 'completed', 'receiptRemoved'), id, bigId, id)
  .map(([name, session, from, count]) =>
    Array.from({ length: count }, (_, step): Call => {
      const packet = 65_520 + step
      return name === 'acknowledged' || name === 'released'
        ? [name, session, packet, from + step]
        : [name, session, packet]
    }),
  )
/** A message and its copies, one after the other. */
const stream: fc.Arbitrary<Call[]> = fc.tuple(body, bigId, id, id).map(([content, from, session, count]) =>
  Array.from({ length: count }, (_, step): Call[] => [
    ['message', from + step, content, session],
    ['enqueued', session, from + step, PLAIN, 67, step + 1, step < count / 2 ? 3 : 4],
  ]).flat(),
)
const PLAIN = { qos: 1, retain: false, subscriptionIdentifiers: null, sharedSubscriptionNumber: 0 } as const

const HEADER = {
  atMs: 5,
  nextMessageId: 6,
  nextSessionNumber: 7,
  producers: 8,
  nextAccountNumber: 8,
  durableAtMs: 9,
} as const

function write(writer: RecordWriter, calls: readonly Call[]): void {
  const methods = writer as unknown as Record<string, (...args: unknown[]) => void>
  for (const [name, ...args] of calls) methods[name]?.apply(writer, args)
}

function read(record: Uint8Array): Call[] {
  const calls: Call[] = []
  const handler = new Proxy(
    {},
    {
      get:
        (_target, name) =>
        (...args: unknown[]) =>
          calls.push([name, ...args] as never),
    },
  )
  readRecord(record, handler as FactHandler)
  return calls
}

/** Equal text for equal values, whatever the order of their fields. */
function plain(calls: readonly Call[]): string {
  return JSON.stringify(calls, (_key, value) => {
    if (value instanceof Uint8Array) return [...value]
    if (value instanceof Tally) return value.entries()
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
  })
}

t.test('what is written is what is read, record after record', async (t) => {
  const script = fc.array(
    fc.oneof(
      call.map((one) => [one]),
      run,
      stream,
    ),
    { maxLength: 30 },
  )
  const writer = new RecordWriter()
  fc.assert(
    fc.property(script, (parts) => {
      const calls = parts.flat()
      write(writer, calls)
      if (writer.isEmpty !== (calls.length === 0)) return false
      const record = writer.seal(HEADER)
      return plain(read(record)) === plain(calls) && writer.isEmpty
    }),
    { numRuns: 3_000 },
  )
  t.pass('3,000 records')
})

t.test('a stream of small messages and its acknowledgements cost little more than the payloads', async (t) => {
  const writer = new RecordWriter()
  const payloads = new Uint8Array(64)
  const content = { topicName: 'bench/telemetry', payload: payloads, qos: 1, expiresAtMs: 0, properties: null } as const
  for (let step = 1; step <= 1_000; step += 1) {
    writer.message(step + 1_000_000, content, 7)
    writer.enqueued(3, step + 1_000_000, PLAIN, 79, step, 8)
  }
  for (let step = 1; step <= 1_000; step += 1) writer.acknowledged(3, step, step + 1_000_000)
  const record = writer.seal(HEADER)
  t.ok(record.length < 1_000 * 72, `${record.length} bytes for 1,000 messages of 64 bytes`)
})
