/** Producers: opening, sequences, duplicates, gaps, fencing, refusals, atomic batches, and the bounds of all that. */
import t from 'tap'
import { ProducerReason } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import type { Access } from '../../src/core/ports/access.js'
import { digestOf, message, numbered, openProducer, produce } from '../support/produce.js'
import { ALLOW_ALL, type TestBroker, type TestClient, testBroker } from '../support/test-broker.js'

/** A publisher with its producer open, and somebody who hears everything. */
function pair(host: TestBroker): { publisher: TestClient; reader: TestClient } {
  const reader = host.resume('reader').subscribe('#', 2)
  const publisher = host.connect('publisher')
  openProducer(publisher)
  host.settle()
  publisher.take('PRODUCER_OPENED')
  return { publisher, reader }
}

function outcome(host: TestBroker, client: TestClient) {
  host.settle()
  return client
    .take('PRODUCED')
    .map(({ reasonCode, sequence, refusals }) => [
      reasonCode,
      sequence,
      refusals.map((refusal) => [refusal.sequence, refusal.reasonCode]),
    ])
}

t.test('a new producer is opened at sequence 0 with the digest of nothing', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  openProducer(publisher, { handle: 7 })
  host.settle()
  t.match(publisher.take('PRODUCER_OPENED'), [
    { handle: 7, reasonCode: 0, epoch: 1, sequence: 0, incarnation: 'test', refusals: [] },
  ])
  openProducer(publisher, { handle: 7, digest: digestOf([]) })
  host.settle()
  t.match(publisher.take('PRODUCER_OPENED'), [{ reasonCode: 0, epoch: 2, digest: digestOf([]) }], 'asked again')
  t.same(publisher.take('PRODUCED'), [], 'nobody was fenced')
})

t.test('messages arrive once, in order, across topics; one answer for each packet, with the digest', async (t) => {
  const host = testBroker()
  const { publisher, reader } = pair(host)
  const sent = [message('a', 'one'), message('b', 'two', { qos: 2 }), message('a', 'three')]
  produce(publisher, 1, sent)
  produce(publisher, 4, [message('c', 'four')])
  host.settle()
  t.same(reader.drain(), ['one', 'two', 'three', 'four'])
  const produced = publisher.take('PRODUCED')
  t.match(produced, [{ handle: 1, reasonCode: 0, sequence: 3, refusals: [] }, { sequence: 4 }])
  t.same(produced[0]?.digest, digestOf(sent))
  t.same(produced[1]?.digest, digestOf([...sent, message('c', 'four')]))
})

t.test('no answer before the commit, and the answer to a duplicate waits for the commit of the first', async (t) => {
  const host = testBroker({ holdCommits: true })
  const publisher = host.connect('publisher')
  openProducer(publisher)
  host.settle()
  publisher.take('PRODUCER_OPENED')
  produce(publisher, 1, numbered('a', 1, 2))
  host.turn()
  produce(publisher, 1, numbered('a', 1, 2))
  host.turn()
  host.turn()
  t.same(publisher.take('PRODUCED'), [], 'the commit is under way')
  host.settle()
  t.match(publisher.take('PRODUCED'), [{ sequence: 2 }, { sequence: 2 }])
})

t.test('what came before is a duplicate: counted, answered, not stored', async (t) => {
  const host = testBroker()
  const { publisher, reader } = pair(host)
  produce(publisher, 1, numbered('a', 1, 3))
  produce(publisher, 1, numbered('a', 1, 3))
  produce(publisher, 2, numbered('a', 2, 5))
  t.same(outcome(host, publisher), [
    [0, 3, []],
    [0, 3, []],
    [0, 5, []],
  ])
  t.same(reader.drain(), ['m1', 'm2', 'm3', 'm4', 'm5'])
  t.equal(host.core.counters.duplicatesRefused, 5)
})

t.test('a gap stores nothing and says what must come', async (t) => {
  const host = testBroker()
  const { publisher, reader } = pair(host)
  produce(publisher, 1, numbered('a', 1, 1))
  produce(publisher, 3, numbered('a', 3, 4))
  host.settle()
  const [, gap] = publisher.take('PRODUCED')
  t.match(gap, { reasonCode: ProducerReason.SEQUENCE_GAP, sequence: 1, digest: null, reasonString: /sequence 2/ })
  produce(publisher, 2, numbered('a', 2, 4))
  t.same(outcome(host, publisher), [[0, 4, []]])
  t.same(reader.drain(), ['m1', 'm2', 'm3', 'm4'])
})

t.test('a producer nobody knows is taken as new only if it has never sent', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher')
  openProducer(publisher, { confirmedSequence: 5 })
  host.settle()
  t.match(publisher.take('PRODUCER_OPENED'), [
    { reasonCode: ProducerReason.UNKNOWN_PRODUCER, epoch: 0, digest: null, reasonString: /not known/ },
  ])
  t.match(host.events.at(-1), { type: 'producer-refused', clientId: 'publisher', reasonCode: 0xc0 })
  t.equal(host.core.state.producers.count, 0)
  produce(publisher, 6, numbered('a', 6, 6))
  host.settle()
  t.match(publisher.link.closedWith, { reasonCode: ReasonCode.PROTOCOL_ERROR, detail: /handle 1 is not open/ })
})

t.test('a producer that is opened again fences whoever had it; nothing of theirs is stored', async (t) => {
  const host = testBroker()
  const { publisher, reader } = pair(host)
  produce(publisher, 1, numbered('a', 1, 2))
  const other = host.connect('other')
  openProducer(other, { handle: 3 })
  host.settle()
  t.match(other.take('PRODUCER_OPENED'), [{ handle: 3, reasonCode: 0, epoch: 2, sequence: 2 }])
  t.same(outcome(host, publisher), [
    [0, 2, []],
    [ProducerReason.FENCED, 2, []],
  ])
  t.match(host.events.at(-1), { type: 'producer-fenced', clientId: 'publisher', by: 'other' })
  produce(publisher, 3, numbered('a', 3, 3))
  t.same(outcome(host, publisher), [[ProducerReason.FENCED, 2, []]])
  t.equal(publisher.link.closedWith, null, 'the connection may have other producers')
  produce(other, 3, numbered('a', 3, 3), { handle: 3 })
  host.settle()
  t.same(reader.drain(), ['m1', 'm2', 'm3'])
  openProducer(publisher)
  host.settle()
  t.match(publisher.take('PRODUCER_OPENED'), [{ epoch: 3, sequence: 3 }], 'the fenced handle may be opened again')
  t.match(other.take('PRODUCED').at(-1), { handle: 3, reasonCode: ProducerReason.FENCED })
})

t.test('two handles of one connection fence each other too; a live handle stands for one producer', async (t) => {
  const host = testBroker()
  const { publisher } = pair(host)
  openProducer(publisher, { handle: 2 })
  produce(publisher, 1, numbered('a', 1, 1))
  produce(publisher, 1, numbered('a', 1, 1), { handle: 2 })
  t.same(outcome(host, publisher), [
    [ProducerReason.FENCED, 0, []],
    [ProducerReason.FENCED, 0, []],
    [0, 1, []],
  ])
  openProducer(publisher, { handle: 1, id: 9 })
  host.settle()
  t.match(publisher.take('PRODUCER_OPENED').at(-1), { handle: 1, reasonCode: 0, sequence: 0 }, 'a fenced one is free')
  openProducer(publisher, { handle: 2, id: 9 })
  host.settle()
  t.match(publisher.link.closedWith, { reasonCode: ReasonCode.PROTOCOL_ERROR, detail: /another producer/ })
})

t.test('a connection that has gone fences nobody', async (t) => {
  const host = testBroker()
  const { publisher } = pair(host)
  publisher.cut()
  const again = host.connect('publisher')
  openProducer(again)
  host.settle()
  t.match(again.take('PRODUCER_OPENED'), [{ epoch: 2 }])
  t.equal(host.events.filter(({ type }) => type === 'producer-fenced').length, 0)
})

t.test('other content under the same sequence is said, and changes nothing', async (t) => {
  const host = testBroker()
  const { publisher } = pair(host)
  produce(publisher, 1, numbered('a', 1, 2))
  host.settle()
  const other = host.connect('other')
  openProducer(other, { confirmedSequence: 2, digest: digestOf(numbered('b', 1, 2)) })
  host.settle()
  t.match(other.take('PRODUCER_OPENED'), [{ reasonCode: ProducerReason.DIVERGED, digest: null }])
  t.same(outcome(host, publisher), [[0, 2, []]], 'nobody was fenced')
  openProducer(other, { confirmedSequence: 2, digest: digestOf(numbered('a', 1, 2)) })
  host.settle()
  t.match(other.take('PRODUCER_OPENED'), [{ reasonCode: 0, epoch: 2, sequence: 2 }])
})

t.test('a producer that knows of more than is stored is let in and told, and the log says so', async (t) => {
  const host = testBroker()
  const { publisher } = pair(host)
  produce(publisher, 1, numbered('a', 1, 2))
  publisher.cut()
  const again = host.connect('publisher')
  openProducer(again, { confirmedSequence: 9, digest: digestOf([]) })
  host.settle()
  t.match(again.take('PRODUCER_OPENED'), [{ reasonCode: 0, sequence: 2 }])
  t.match(host.events.at(-1), { type: 'producer-behind', sequence: 2, confirmedSequence: 9 })
})

t.test('another user’s producer is not opened; one without a user is everybody’s', async (t) => {
  const access: Access = { ...ALLOW_ALL, allowsEverything: false }
  const host = testBroker({ access })
  const alice = host.connect('alice', { username: 'alice' })
  openProducer(alice)
  host.settle()
  const bob = host.connect('bob', { username: 'bob' })
  openProducer(bob)
  openProducer(bob, { handle: 2, id: 2 })
  host.connect('nobody')
  host.settle()
  t.match(bob.take('PRODUCER_OPENED'), [{ reasonCode: ReasonCode.NOT_AUTHORIZED }, { reasonCode: 0 }])
  t.same(alice.take('PRODUCED'), [], 'alice is not fenced')
  const anybody = host.connect('anybody')
  openProducer(anybody, { id: 3 })
  openProducer(bob, { handle: 3, id: 3 })
  host.settle()
  t.match(bob.take('PRODUCER_OPENED'), [{ reasonCode: 0, epoch: 2 }])
})

t.test('a refused message uses up its sequence and the stream goes on', async (t) => {
  const access: Access = {
    ...ALLOW_ALL,
    allowsEverything: false,
    authorize: (_who, action, topic) => action !== 'publish' || topic !== 'secret',
  }
  const host = testBroker({ access, features: { maximumQoS: 1, retainAvailable: false } })
  const { publisher, reader } = pair(host)
  const bad: [ReturnType<typeof message>, number][] = [
    [message('secret', 'x'), ReasonCode.NOT_AUTHORIZED],
    [message('a/+', 'x'), ReasonCode.TOPIC_NAME_INVALID],
    [message('', 'x'), ReasonCode.TOPIC_NAME_INVALID],
    [message('$SYS/x', 'x'), ReasonCode.NOT_AUTHORIZED],
    [message('a', 'x', { qos: 2 }), ReasonCode.QOS_NOT_SUPPORTED],
    [message('a', 'x', { retain: true }), ReasonCode.RETAIN_NOT_SUPPORTED],
    [message('a', 'x', { properties: { responseTopic: 'b/#' } }), ReasonCode.TOPIC_NAME_INVALID],
    [message('a', 'x', { properties: { topicAlias: 1 } }), ReasonCode.TOPIC_ALIAS_INVALID],
    [message('a', 'x', { properties: { subscriptionIdentifiers: [1] } }), ReasonCode.PROTOCOL_ERROR],
  ]
  const sent = [message('a', 'first'), ...bad.map(([each]) => each), message('a', 'last')]
  produce(publisher, 1, sent)
  host.settle()
  t.same(reader.drain(), ['first', 'last'])
  const [produced] = publisher.take('PRODUCED')
  t.match(produced, { reasonCode: 0, sequence: 11, digest: digestOf(sent) })
  t.same(
    produced?.refusals.map(({ reasonCode }) => reasonCode),
    bad.map(([, reasonCode]) => reasonCode),
  )
  t.same(
    produced?.refusals.map(({ sequence }) => sequence),
    [2, 3, 4, 5, 6, 7, 8, 9, 10],
  )
  for (const refusal of produced?.refusals ?? []) t.ok((refusal.reasonString ?? '').length > 10)
  const [producer] = host.core.state.producers.inMemory()
  t.match(producer, { sequence: 11, accepted: 2, refused: 9 })
  t.equal(publisher.link.closedWith, null)
})

t.test('refusals are told again until they are confirmed, and survive a restart', async (t) => {
  let host = testBroker()
  const { publisher } = pair(host)
  produce(publisher, 1, [message('a', '1'), message('+', '2'), message('#', '3'), message('a', '4')])
  produce(publisher, 2, [message('+', '2'), message('#', '3')])
  const both = [
    [2, ReasonCode.TOPIC_NAME_INVALID],
    [3, ReasonCode.TOPIC_NAME_INVALID],
  ]
  t.same(outcome(host, publisher), [
    [0, 4, both],
    [0, 4, both],
  ])
  host = host.crash()
  const second = host.connect('publisher')
  openProducer(second)
  host.settle()
  t.match(second.take('PRODUCER_OPENED')[0]?.refusals, [{ sequence: 2, reasonString: /wildcard/ }, { sequence: 3 }])
  produce(second, 5, [message('a', '5')], { confirmedSequence: 2 })
  produce(second, 2, [message('+', '2'), message('#', '3')], { confirmedSequence: 2 })
  t.same(outcome(host, second), [
    [0, 5, []],
    [0, 5, [both[1]]],
  ])
  host.core.checkpoint()
  host = host.settle().crash()
  const third = host.connect('publisher')
  openProducer(third, { confirmedSequence: 2 })
  host.settle()
  t.match(third.take('PRODUCER_OPENED'), [{ epoch: 3, sequence: 5, refusals: [{ sequence: 3 }] }])
  openProducer(third, { confirmedSequence: 5 })
  host.settle()
  t.match(third.take('PRODUCER_OPENED'), [{ refusals: [] }])
})

t.test('producerRefusalsMax: nothing is stored until the client says that it knows', async (t) => {
  const host = testBroker({ limits: { producerRefusalsMax: 2 } })
  const { publisher, reader } = pair(host)
  produce(publisher, 1, [message('+', '1'), message('+', '2'), message('+', '3')])
  produce(publisher, 4, [message('a', '4')])
  t.same(
    outcome(host, publisher).map(([reasonCode, sequence]) => [reasonCode, sequence]),
    [
      [0, 3],
      [ProducerReason.UNCONFIRMED_REFUSALS, 3],
    ],
  )
  produce(publisher, 1, [message('+', '1')])
  t.match(outcome(host, publisher), [[0, 3, [[1, ReasonCode.TOPIC_NAME_INVALID]]]], 'duplicates are answered as ever')
  produce(publisher, 4, [message('a', '4')], { confirmedSequence: 3 })
  t.same(outcome(host, publisher), [[0, 4, []]])
  t.same(reader.drain(), ['4'])
})

t.test('an atomic batch is stored as a whole, in one record', async (t) => {
  const host = testBroker({ holdCommits: true })
  const reader = host.resume('reader')
  host.settle()
  reader.subscribe('#', 1)
  const publisher = host.connect('publisher')
  openProducer(publisher)
  host.settle()
  produce(publisher, 1, numbered('a', 1, 5), { isAtomic: true })
  const crashed = host.crash()
  const again = crashed.resume('reader')
  crashed.settle()
  t.same(again.drain(), [], 'nothing of it')
  t.equal(crashed.core.state.recordNumber > 0, true)
})

t.test('if one message of an atomic batch is refused all are, and each says why', async (t) => {
  const host = testBroker()
  const { publisher, reader } = pair(host)
  const batch = [message('a', '1'), message('+', '2'), message('a', '3', { retain: true })]
  produce(publisher, 1, batch, { isAtomic: true })
  const refusals = [
    [1, ProducerReason.BATCH_REFUSED],
    [2, ReasonCode.TOPIC_NAME_INVALID],
    [3, ProducerReason.BATCH_REFUSED],
  ]
  t.same(outcome(host, publisher), [[0, 3, refusals]])
  produce(publisher, 1, batch, { isAtomic: true })
  t.same(outcome(host, publisher), [[0, 3, refusals]], 'again')
  produce(publisher, 4, numbered('a', 4, 5), { isAtomic: true })
  t.same(outcome(host, publisher), [[0, 5, []]])
  t.same(reader.drain(), ['m4', 'm5'])
  t.equal(host.core.retainedCount, 0)
})

t.test('an atomic batch that is half known is another batch: nothing of it is stored', async (t) => {
  const host = testBroker()
  const { publisher, reader } = pair(host)
  produce(publisher, 1, numbered('a', 1, 2), { isAtomic: true })
  produce(publisher, 2, numbered('a', 2, 3), { isAtomic: true })
  host.settle()
  t.match(publisher.take('PRODUCED'), [
    { reasonCode: 0, sequence: 2 },
    { reasonCode: ProducerReason.SEQUENCE_GAP, sequence: 2, reasonString: /atomic/ },
  ])
  t.same(reader.drain(), ['m1', 'm2'])
})

t.test('an atomic batch that would not fit as a whole is refused as a whole', async (t) => {
  const host = testBroker({ limits: { queueMessagesMax: 3, queueFull: 'refuse-publish', retainedMessagesMax: 2 } })
  const { publisher, reader } = pair(host)
  const retained = ['x', 'y', 'z'].map((topic) => message(topic, '1', { retain: true }))
  produce(publisher, 1, retained, { isAtomic: true })
  t.match(outcome(host, publisher), [
    [
      0,
      3,
      [
        [1, 0xc4],
        [2, 0xc4],
        [3, ReasonCode.QUOTA_EXCEEDED],
      ],
    ],
  ])
  t.equal(host.core.retainedCount, 0)
  reader.cut()
  produce(publisher, 4, numbered('a', 4, 7), { isAtomic: true })
  t.match(outcome(host, publisher), [
    [
      0,
      7,
      [
        [4, 0xc4],
        [5, 0xc4],
        [6, 0xc4],
        [7, ReasonCode.QUOTA_EXCEEDED],
      ],
    ],
  ])
  produce(publisher, 8, numbered('a', 8, 10), { isAtomic: true })
  t.match(outcome(host, publisher), [[0, 10, []]])
  produce(publisher, 11, numbered('a', 11, 12))
  t.match(outcome(host, publisher), [
    [
      0,
      12,
      [
        [11, ReasonCode.QUOTA_EXCEEDED],
        [12, ReasonCode.QUOTA_EXCEEDED],
      ],
    ],
  ])
  t.same(host.resume('reader').drain(), ['m8', 'm9', 'm10'])
})

t.test('producersMax and producersPerConnectionMax', async (t) => {
  let host = testBroker({ limits: { producersMax: 2, producersPerConnectionMax: 2 } })
  const one = host.connect('one')
  for (const handle of [1, 2, 3]) openProducer(one, { handle, id: handle })
  host.settle()
  t.match(
    one.take('PRODUCER_OPENED').map(({ reasonCode }) => reasonCode),
    [0, 0, ReasonCode.QUOTA_EXCEEDED],
  )
  host.core.checkpoint()
  host = host.settle().crash()
  t.equal(host.core.state.producers.count, 2, 'counted across a restart')
  const two = host.connect('two')
  openProducer(two, { id: 3 })
  openProducer(two, { id: 1 })
  host.settle()
  t.match(
    two.take('PRODUCER_OPENED').map(({ reasonCode }) => reasonCode),
    [ReasonCode.QUOTA_EXCEEDED, 0],
  )
})

t.test('in memory is what is open or not in the tables yet', async (t) => {
  let host = testBroker()
  const { publisher } = pair(host)
  produce(publisher, 1, numbered('a', 1, 3))
  host.settle()
  host.core.checkpoint()
  host.settle()
  t.equal([...host.core.state.producers.inMemory()].length, 1, 'it is open')
  publisher.cut()
  t.equal([...host.core.state.producers.inMemory()].length, 0)
  host = host.crash()
  t.equal([...host.core.state.producers.inMemory()].length, 0)
  const stranger = host.connect('stranger')
  openProducer(stranger, { confirmedSequence: 3, digest: digestOf([]) })
  host.settle()
  t.match(stranger.take('PRODUCER_OPENED'), [{ reasonCode: ProducerReason.DIVERGED }])
  t.equal([...host.core.state.producers.inMemory()].length, 0, 'who is refused leaves nothing')
  openProducer(stranger, { confirmedSequence: 3, digest: digestOf(numbered('a', 1, 3)) })
  host.settle()
  t.match(stranger.take('PRODUCER_OPENED'), [{ reasonCode: 0, epoch: 2, sequence: 3 }])
})

t.test('sequences end at 2^53-1, and begin at 1', async (t) => {
  for (const firstSequence of [0, Number.MAX_SAFE_INTEGER]) {
    const host = testBroker()
    const { publisher } = pair(host)
    produce(publisher, firstSequence, numbered('a', 1, 2))
    host.settle()
    t.match(publisher.link.closedWith, { reasonCode: ReasonCode.PROTOCOL_ERROR, detail: /2\^53-1/ })
  }
})

t.test('a publisher hears its own messages unless it asked not to; retained ones stay', async (t) => {
  const host = testBroker()
  const { publisher } = pair(host)
  publisher.subscribe('own', 1).subscribe('silent', 1, { noLocal: true })
  produce(publisher, 1, [message('own', 'heard', { retain: true }), message('silent', 'not heard')])
  host.settle()
  t.same(publisher.payloads(), ['heard'])
  t.same(host.connect('late').subscribe('own').payloads(), ['heard'])
})

t.test('an answer fits the Maximum Packet Size of the client: without sentences, or not at all', async (t) => {
  const host = testBroker()
  const publisher = host.connect('publisher', { properties: { maximumPacketSize: 400 } })
  openProducer(publisher)
  host.settle()
  produce(publisher, 1, [message('+', '1')])
  host.settle()
  const [produced] = publisher.take('PRODUCED')
  t.match(produced?.refusals, [{ sequence: 1 }])
  produce(
    publisher,
    2,
    Array.from({ length: 40 }, () => message('+', 'x')),
  )
  host.settle()
  t.match(publisher.link.closedWith, { reasonCode: ReasonCode.PACKET_TOO_LARGE })
  const silent = host.connect('silent', { properties: { requestProblemInformation: 0 } })
  openProducer(silent)
  host.settle()
  t.notMatch(silent.take('PRODUCER_OPENED')[0]?.refusals[0], { reasonString: String })
})
