/** A producer of the SDK against the specification: what it sends, what it drops, and when it stops. */
import t from 'tap'
import type { Producer, ProducerOptions, ProducerRefusal } from '../../../src/client/api.js'
import type { ProducerOutbox, ProducerOutboxChange } from '../../../src/client/producer-outbox.js'
import { prepareBatch, prepareMessage } from '../../../src/client/producer-message.js'
import { openMemoryProducerOutbox } from '../../../src/client/producer-outbox-memory.js'
import type { TallyError } from '../../../src/client/tally-error.js'
import type { Client, ConnectOptions } from '../../../src/client/api.js'
import { producersLoaded, ScriptedProducer } from '../../support/client-producer-script.js'
import { ScriptedBroker, type ScriptedConnection, settle, stateOf } from '../../support/client-script.js'

interface Scene {
  broker: ScriptedBroker
  client: Client
  connection: ScriptedConnection
  remote: ScriptedProducer
  outbox: ProducerOutbox
  producer: Producer
  errors: TallyError[]
}

async function opened(
  options: Partial<ProducerOptions> & { remote?: ScriptedProducer; connect?: Partial<ConnectOptions> } = {},
): Promise<Scene> {
  const { remote = new ScriptedProducer(), connect, ...producerOptions } = options
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c', ...connect })
  const errors: TallyError[] = []
  client.on('error', (error) => void errors.push(error))
  const connection = await broker.at(0)
  const outbox = options.outbox ?? openMemoryProducerOutbox()
  const opening = client.openProducer({ ...producerOptions, outbox })
  await remote.answerOpen(connection)
  return { broker, client, connection, remote, outbox, producer: await opening, errors }
}

/** A producer over this outbox in a process of its own, which is not answered yet. */
async function another(outbox: ProducerOutbox, options: Partial<ProducerOptions> = {}) {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const errors: TallyError[] = []
  client.on('error', (error) => void errors.push(error))
  const connection = await broker.at(0)
  const opening = client.openProducer({ ...options, outbox })
  opening.catch(() => {})
  await producersLoaded()
  return { broker, client, connection, opening, errors }
}

t.test('a message is in the outbox before it is sent, and resolves with the answer that covers it', async (t) => {
  const memory = openMemoryProducerOutbox()
  let release = () => {}
  const gate = { isShut: false }
  const outbox: ProducerOutbox = {
    ...memory,
    commit: async (change) => {
      if (gate.isShut) await new Promise<void>((resolve) => (release = resolve))
      return memory.commit(change)
    },
  }
  const { producer, connection, remote } = await opened({ outbox })
  gate.isShut = true
  const published = producer.publish('a', 'one')
  t.same(await connection.sent(), [])
  t.equal(await stateOf(producer.stored()), 'pending')
  gate.isShut = false
  release()
  const packet = await remote.answerProduce(connection)
  t.match(packet, { handle: 1, firstSequence: 1, confirmedSequence: 0, isAtomic: false })
  t.same(await published, { firstSequence: 1, lastSequence: 1 })
  t.same(remote.taken, ['1 a one'])
  t.equal(producer.lastSequence, 1)
  t.equal(producer.answeredSequence, 1)
  t.match(producer.producerId, /^[0-9a-f]{32}$/)
})

t.test('what one turn publishes is one transaction and one packet, in order; the next need not wait', async (t) => {
  const { outbox, commits } = watchedOutbox()
  const { producer, connection, remote } = await opened({ outbox })
  const first = ['a', 'b', 'c'].map((topic) => producer.publish(topic, '1', { qos: 2, retain: true }))
  await settle()
  const second = producer.publish('d', '2', { properties: { contentType: 'x' } })
  const one = await connection.next('PRODUCE')
  const two = await connection.next('PRODUCE')
  t.same(commits.map(({ append }) => append.length).slice(1), [3, 1])
  t.same([one.firstSequence, one.messages.length, two.firstSequence, two.messages.length], [1, 3, 4, 1])
  t.match(one.messages[0], { topicName: 'a', qos: 2, retain: true, properties: null })
  t.match(two.messages[0], { topicName: 'd', qos: 1, retain: false, properties: { contentType: 'x' } })
  remote.produced(one)
  connection.send(remote.produced(two))
  t.same(
    await Promise.all([...first, second]),
    [1, 2, 3, 4].map((n) => ({ firstSequence: n, lastSequence: n })),
  )
})

t.test(
  'the connection is lost: PRODUCER_OPEN says what is on disk, only what the broker lacks goes again',
  async (t) => {
    const scene = await opened()
    const { broker, producer, connection, remote } = scene
    const all = ['1', '2', '3'].map((text) => producer.publish('a', text))
    const packet = await connection.next('PRODUCE')
    const half = { ...packet, messages: packet.messages.slice(0, 2), ends: packet.ends.slice(0, 2) }
    remote.produced(half)
    connection.drop()
    const late = producer.publish('a', '4')
    const second = await broker.comesBack(1)
    const open = await remote.answerOpen(second)
    t.match(open, { handle: 1, confirmedSequence: 0 })
    const again = await remote.answerProduce(second)
    t.equal(again.firstSequence, 3)
    const third = packet.encoded.subarray(packet.ends[1])
    t.strictSame(again.encoded.subarray(0, again.ends[0]), third, 'the same bytes')
    await Promise.all([...all, late])
    t.same(remote.taken, ['1 a 1', '2 a 2', '3 a 3', '4 a 4'])
  },
)

t.test('the process dies before the answer: the next one finds its messages in the outbox', async (t) => {
  const { connection, producer, outbox, remote, client } = await opened()
  const lost = producer.publish('a', '1')
  await connection.next('PRODUCE')
  await client.close()
  await t.rejects(lost, { code: 'CLOSED' })
  const next = await another(outbox)
  const open = await remote.answerOpen(next.connection)
  t.equal(Buffer.from(open.producerId).toString('hex'), producer.producerId)
  await remote.answerProduce(next.connection)
  await (await next.opening).flush()
  t.same(remote.taken, ['1 a 1'])
})

t.test('after a moment the outbox knows how far the broker is, and says so with its digest', async (t) => {
  const { broker, connection, producer, outbox, remote } = await opened()
  const published = producer.publish('a', '1')
  await remote.answerProduce(connection)
  await published
  t.equal(remote.digest.length, 32)
  broker.clock.advance(100)
  await settle()
  const next = await another(outbox)
  const open = await next.connection.next('PRODUCER_OPEN')
  t.equal(open.confirmedSequence, 1)
  t.same([...(open.digest ?? [])], [...remote.digest])
})

t.test('a refusal rejects its publish, is told once, and is in the outbox before it is confirmed', async (t) => {
  const { outbox, commits } = watchedOutbox()
  const heard: ProducerRefusal[] = []
  const { producer, connection, remote, broker } = await opened({ outbox, onRefused: (refusal) => heard.push(refusal) })
  const refusal = { sequence: 2, reasonCode: 0x87, reasonString: 'not yours' }
  remote.refusing.set(2, refusal)
  const all = ['1', '2', '3'].map((text) => producer.publish('a', text))
  await remote.answerProduce(connection)
  await t.rejects(all[1] as Promise<unknown>, { code: 'PUBLISH_REFUSED', reasonCode: 0x87, message: /2 .*not yours/ })
  await Promise.all([all[0], all[2]])
  await settle()
  t.same(heard, [refusal])
  t.same(commits.at(-1)?.refusals, [refusal], 'at once')
  connection.drop()
  const second = await broker.comesBack(1)
  t.equal((await remote.answerOpen(second)).confirmedSequence, 3)
  await settle()
  t.same(heard, [refusal])
})

t.test('a refusal that comes with PRODUCER_OPENED is told, and an error where nobody listens', async (t) => {
  const { connection, producer, outbox, remote, client } = await opened()
  producer.publish('a', '1').catch(() => {})
  remote.refusing.set(1, { sequence: 1, reasonCode: 0x97 })
  remote.produced(await connection.next('PRODUCE'))
  await client.close()
  const next = await another(outbox)
  await remote.answerOpen(next.connection)
  await next.opening
  t.match(next.errors, [{ code: 'PUBLISH_REFUSED', reasonCode: 0x97, retryable: true }])
})

t.test('a batch is one packet, alone, and is refused by the message that is at fault', async (t) => {
  const { connection, producer, remote } = await opened()
  const before = producer.publish('a', 'before')
  const batch = producer.publishBatch(['1', '2', '3'].map((payload) => ({ topicName: 'b', payload })))
  const after = producer.publish('a', 'after')
  t.match(await remote.answerProduce(connection), { firstSequence: 1, isAtomic: false, messages: { length: 1 } })
  for (const sequence of [2, 3, 4]) remote.refusing.set(sequence, { sequence, reasonCode: 0xc4 })
  remote.refusing.set(3, { sequence: 3, reasonCode: 0x90, reasonString: 'bad topic' })
  const packet = await remote.answerProduce(connection)
  t.match(packet, { firstSequence: 2, isAtomic: true })
  t.equal(packet.messages.length, 3)
  await t.rejects(batch, { code: 'PUBLISH_REFUSED', reasonCode: 0x90, message: /message 3 .*bad topic/ })
  await remote.answerProduce(connection)
  t.same(await before, { firstSequence: 1, lastSequence: 1 })
  t.same(await after, { firstSequence: 5, lastSequence: 5 })
  t.same(remote.taken, ['1 a before', '5 a after'])
})

t.test('a batch that is larger than the window goes out whole all the same', async (t) => {
  const { client, outbox, remote } = await opened()
  await outbox.commit({
    append: prepareBatch(Array.from({ length: 50 }, (_, index) => ({ topicName: 'b', payload: `${index}` }))),
    record: null,
    forgetSequence: 0,
    refusals: [],
  })
  await client.close()
  const next = await another(outbox, { windowMessagesMax: 10, windowBytesMax: 20 })
  await remote.answerOpen(next.connection)
  const packet = await remote.answerProduce(next.connection)
  t.equal(packet.messages.length, 50)
  t.equal(packet.isAtomic, true)
})

t.test('a backlog goes out through a small window, in order and without a gap', async (t) => {
  const outbox = openMemoryProducerOutbox()
  const append = Array.from({ length: 95 }, (_, index) => prepareMessage('a', `${index + 1}`))
  await outbox.commit({ append, record: null, forgetSequence: 0, refusals: [] })
  const { opening, connection } = await another(outbox, { windowMessagesMax: 10 })
  const remote = new ScriptedProducer()
  await remote.answerOpen(connection)
  const producer = await opening
  const live = producer.publish('a', '96')
  while (remote.sequence < 96) {
    const packet = await connection.next('PRODUCE')
    t.ok(packet.messages.length <= 10)
    connection.send(remote.produced(packet))
  }
  await live
  t.same(
    remote.taken,
    Array.from({ length: 96 }, (_, index) => `${index + 1} a ${index + 1}`),
  )
})

t.test('rows of the application’s own transactions are found by flush', async (t) => {
  const { connection, producer, outbox, remote } = await opened()
  await outbox.commit({ append: [prepareMessage('a', 'mine')], record: null, forgetSequence: 0, refusals: [] })
  t.same(await connection.sent(), [])
  const flushed = producer.flush()
  await remote.answerProduce(connection)
  await flushed
  t.same(remote.taken, ['1 a mine'])
  await producer.flush()
})

t.test('another digest than ours: DIVERGED, and nothing more is sent', async (t) => {
  const { connection, producer, remote, errors } = await opened()
  const published = producer.publish('a', '1')
  await remote.answerProduce(connection, { digest: new Uint8Array(32) })
  await t.rejects(published, { code: 'DIVERGED' })
  await t.rejects(producer.publish('a', '2'), { code: 'DIVERGED' })
  await t.rejects(producer.stored(), { code: 'DIVERGED' })
  await t.rejects(producer.flush(), { code: 'DIVERGED' })
  t.match(errors, [{ code: 'DIVERGED' }])
  t.same(await connection.sent(), [])
  await producer.close()
})

t.test('the broker has more than the outbox, or other messages: DIVERGED', async (t) => {
  const { connection, producer, outbox, remote, client } = await opened()
  const all = [producer.publish('a', '1'), producer.publish('a', '2')]
  await remote.answerProduce(connection)
  await Promise.all(all)
  await client.close()
  const empty = await another(openMemoryProducerOutbox())
  const open = await empty.connection.next('PRODUCER_OPEN')
  empty.connection.send(remote.opened(open))
  await t.rejects(empty.opening, { code: 'DIVERGED', message: /2 messages .* only 0/ })
  t.match(empty.errors, [{ code: 'DIVERGED' }])
  const wrong = await another(outbox)
  await remote.answerOpen(wrong.connection, { digest: new Uint8Array(32).fill(1) })
  await t.rejects(wrong.opening, { code: 'DIVERGED' })
})

t.test('the broker says why it does not open a producer', async (t) => {
  const cases = [
    [0xc0, 'UNKNOWN_PRODUCER'],
    [0xc3, 'DIVERGED'],
    [0x87, 'PRODUCER_REFUSED'],
    [0x97, 'PRODUCER_REFUSED'],
  ] as const
  for (const [reasonCode, code] of cases) {
    const { connection, opening } = await another(openMemoryProducerOutbox())
    await new ScriptedProducer().answerOpen(connection, { reasonCode, digest: null, reasonString: 'because' })
    await t.rejects(opening, { code, reasonCode, message: /because/ })
  }
})

t.test('FENCED ends the producer, not the client', async (t) => {
  const { connection, producer, client, errors } = await opened()
  const published = producer.publish('a', '1')
  const { handle } = await connection.next('PRODUCE')
  connection.send({ type: 20, handle, reasonCode: 0xc1, sequence: 0, digest: null, refusals: [] })
  await t.rejects(published, { code: 'FENCED', reasonCode: 0xc1 })
  t.match(errors, [{ code: 'FENCED' }])
  t.equal(client.state.name, 'connected')
  t.match(producer.failure, { code: 'FENCED' })
})

t.test('too many unconfirmed refusals: they are written down, then the rest goes again', async (t) => {
  const { connection, producer, remote } = await opened()
  const first = producer.publish('a', '1')
  const packet = await connection.next('PRODUCE')
  const second = producer.publish('a', '2')
  await connection.next('PRODUCE')
  const failure = { type: 20, handle: 1, sequence: 0, digest: null, refusals: [] } as const
  connection.send({ ...failure, reasonCode: 0xc5 }, { ...failure, reasonCode: 0xc2 })
  const open = await remote.answerOpen(connection)
  t.equal(open.handle, packet.handle)
  const again = await remote.answerProduce(connection)
  t.match(again, { firstSequence: 1, messages: { length: 2 } })
  await Promise.all([first, second])
})

t.test('a broker that takes nothing again and again is left alone', async (t) => {
  const { connection, producer, remote } = await opened()
  const published = producer.publish('a', '1')
  for (let round = 0; round < 4; round += 1) {
    const { handle } = await connection.next('PRODUCE')
    connection.send({ type: 20, handle, reasonCode: 0xc2, sequence: 0, digest: null, refusals: [] })
    if (round < 3) await remote.answerOpen(connection)
  }
  await t.rejects(published, { code: 'PRODUCER_REFUSED', reasonCode: 0xc2 })
  t.same(await connection.sent(), [])
})

t.test('an acknowledgement of what was never sent is a fault of the broker', async (t) => {
  for (const sequence of [0, 2]) {
    const { connection, producer, remote } = await opened()
    const first = producer.publish('a', '1')
    await remote.answerProduce(connection)
    await first
    const second = producer.publish('a', '2')
    const sent = sequence === 0 ? await connection.next('PRODUCE') : undefined
    connection.send({
      type: 20,
      handle: 1,
      reasonCode: 0,
      sequence: sequence === 0 ? 0 : 9,
      digest: null,
      refusals: [],
    })
    await t.rejects(second, { code: 'PROTOCOL_ERROR' }, sent === undefined ? 'too high' : 'too low')
  }
})

t.test('a broker restored from a backup is filled up again from the rows that are kept', async (t) => {
  const { broker, connection, producer, remote, errors } = await opened()
  const packets = []
  for (const text of ['1', '2', '3', '4']) {
    const published = producer.publish('a', text)
    packets.push(await remote.answerProduce(connection))
    await published
    broker.clock.advance(3_600_000)
    await settle()
  }
  connection.drop()
  broker.answer = () => ({ sessionPresent: true })
  const restored = ScriptedProducer.after(packets.slice(0, 2))
  const late = producer.publish('a', '5')
  const second = await broker.comesBack(1)
  t.equal((await restored.answerOpen(second)).confirmedSequence, 4)
  const again = await restored.answerProduce(second)
  t.match(again, { firstSequence: 3, confirmedSequence: 2 })
  await late
  t.same(restored.taken, ['1 a 1', '2 a 2', '3 a 3', '4 a 4', '5 a 5'])
  t.match(errors, [{ code: 'BROKER_LOST_DATA', retryable: true, message: /3 to 4; they are sent again/ }])
})

t.test('a broker that lost more than the outbox keeps is told from one that can be filled up', async (t) => {
  const { broker, connection, producer, remote, outbox, client } = await opened({ ackedRowsKeptMs: 0 })
  const packets = []
  for (const text of ['1', '2']) {
    const published = producer.publish('a', text)
    packets.push(await remote.answerProduce(connection))
    await published
    broker.clock.advance(1_000)
    await settle()
  }
  await client.close()
  t.same(await outbox.read(0, 10, 1_000), [], 'nothing is kept')
  const next = await another(outbox)
  await ScriptedProducer.after(packets.slice(0, 1)).answerOpen(next.connection)
  await t.rejects(next.opening, { code: 'BROKER_LOST_DATA', retryable: false, message: /no longer has them/ })
})

t.test('a broker with less, and other messages in it: DIVERGED', async (t) => {
  const { connection, producer, remote, outbox, client } = await opened()
  const all = [producer.publish('a', '1'), producer.publish('a', '2')]
  await remote.answerProduce(connection)
  await Promise.all(all)
  await client.close()
  const next = await another(outbox)
  const open = await next.connection.next('PRODUCER_OPEN')
  next.connection.send(remote.opened(open, { sequence: 1, digest: new Uint8Array(32) }))
  await t.rejects(next.opening, { code: 'DIVERGED' })
})

t.test('rows go when they are old enough, and not before', async (t) => {
  const { broker, connection, producer, remote, outbox } = await opened({ ackedRowsKeptMs: 240_000 })
  const kept = async () => (await outbox.read(0, 1_000, 1e6)).length + (await rowsAfterFirst(outbox))
  for (let round = 0; round < 60; round += 1) {
    const published = producer.publish('a', 'x')
    await remote.answerProduce(connection)
    await published
    broker.clock.advance(10_000)
    await settle()
  }
  const rows = await kept()
  t.ok(rows >= 24 && rows <= 27, `${rows} rows of 10 s each for 240 s`)
})

t.test('what cannot be published is refused before it is in the outbox', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ properties: { maximumPacketSize: 200 } })
  const client = await broker.open({ clientId: 'c' })
  const connection = await broker.at(0)
  const outbox = openMemoryProducerOutbox()
  const opening = client.openProducer({ outbox, publishQueueMessagesMax: 2 })
  await new ScriptedProducer().answerOpen(connection)
  const producer = await opening
  await t.rejects(producer.publish('a/#', ''), { code: 'INVALID_ARGUMENT' })
  await t.rejects(producer.publish('a', '', { qos: 0 as never }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(producer.publish('a', '', { properties: { topicAlias: 1 } }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(producer.publishBatch([]), { code: 'INVALID_ARGUMENT' })
  await t.rejects(producer.publish('a', 'x'.repeat(200)), { code: 'PUBLISH_REFUSED', reasonCode: 0x95 })
  t.throws(() => prepareBatch(new Array(9_000).fill({ topicName: 'a', payload: '' })), { code: 'INVALID_ARGUMENT' })
  producer.publish('a', '').catch(() => {})
  producer.publish('a', '').catch(() => {})
  await t.rejects(producer.publish('a', ''), { code: 'OUTBOX_FULL', retryable: true })
  await producer.stored()
  t.equal(await outbox.lastSequence(), 2)
  await t.rejects(client.openProducer({ outbox, windowBytesMax: 0 }), { code: 'INVALID_ARGUMENT' })
})

t.test('a row that is too large for this broker ends the producer and stays where it is', async (t) => {
  const outbox = openMemoryProducerOutbox()
  const append = [prepareMessage('a', 'x'.repeat(300))]
  await outbox.commit({ append, record: null, forgetSequence: 0, refusals: [] })
  const broker = new ScriptedBroker()
  broker.answer = () => ({ properties: { maximumPacketSize: 200 } })
  const client = await broker.open({ clientId: 'c' })
  const errors: TallyError[] = []
  client.on('error', (error) => void errors.push(error))
  const connection = await broker.at(0)
  const opening = client.openProducer({ outbox })
  await new ScriptedProducer().answerOpen(connection)
  const producer = await opening
  await settle()
  t.match(errors, [{ code: 'PRODUCER_REFUSED', reasonCode: 0x95, message: /message 1 has/ }])
  t.match(producer.failure, { code: 'PRODUCER_REFUSED' })
  t.equal((await outbox.read(0, 10, 1_000)).length, 1)
})

t.test('an outbox that fails ends the producer', async (t) => {
  const memory = openMemoryProducerOutbox()
  const broken = { isBroken: false }
  const outbox: ProducerOutbox = {
    ...memory,
    commit: (change) => (broken.isBroken ? Promise.reject(new Error('disk full')) : memory.commit(change)),
  }
  const { producer, errors, client } = await opened({ outbox })
  broken.isBroken = true
  const published = producer.publish('a', '')
  await t.rejects(published, { code: 'OUTBOX_FAILED' })
  t.match(producer.failure, { code: 'OUTBOX_FAILED', cause: { message: 'disk full' } })
  t.match(errors, [{ code: 'OUTBOX_FAILED' }])
  const unreadable = { ...memory, load: () => Promise.reject(new Error('gone')) }
  await t.rejects(client.openProducer({ outbox: unreadable }), { code: 'OUTBOX_FAILED' })
  const future = { ...memory, load: async () => Uint8Array.of(0x91, 9) }
  await t.rejects(client.openProducer({ outbox: future }), { code: 'OUTBOX_FAILED' })
})

t.test('rows that are missing in the middle are noticed', async (t) => {
  const memory = openMemoryProducerOutbox()
  const append = ['1', '2', '3'].map((text) => prepareMessage('a', text))
  await memory.commit({ append, record: null, forgetSequence: 0, refusals: [] })
  for (const hole of [1, 2]) {
    const read: ProducerOutbox['read'] = async (after, messages, bytes) =>
      (await memory.read(after, messages, bytes)).filter(({ sequence }) => sequence !== hole)
    const { connection, opening, errors } = await another({ ...memory, read })
    await new ScriptedProducer().answerOpen(connection)
    await opening
    await settle()
    t.match(errors, [{ code: 'OUTBOX_FAILED' }], `without row ${hole}`)
  }
})

t.test('a signal gives up opening; MQTT has no producers; a closed client opens none', async (t) => {
  const { broker, client } = await opened()
  const controller = new AbortController()
  const opening = client.openProducer({ outbox: openMemoryProducerOutbox(), signal: controller.signal })
  await settle()
  controller.abort()
  await t.rejects(opening, { code: 'ABORTED' })
  await client.close()
  await t.rejects(client.openProducer({ outbox: openMemoryProducerOutbox() }), { code: 'CLOSED' })
  t.equal(broker.connections.length, 1)
  const mqtt = await new ScriptedBroker('mqtt').open()
  await t.rejects(mqtt.openProducer({ outbox: openMemoryProducerOutbox() }), { code: 'INVALID_ARGUMENT' })
})

t.test('close notes how far the broker is; two producers of one client do not meet', async (t) => {
  const { client, connection, producer, remote, outbox } = await opened()
  const other = new ScriptedProducer()
  const opening = client.openProducer({ outbox: openMemoryProducerOutbox() })
  t.equal((await other.answerOpen(connection)).handle, 2)
  const second = await opening
  t.not(second.producerId, producer.producerId)
  const all = [producer.publish('a', 'first'), second.publish('b', 'second')]
  await remote.answerProduce(connection)
  await other.answerProduce(connection)
  await Promise.all(all)
  t.same([remote.taken, other.taken], [['1 a first'], ['1 b second']])
  await producer.close()
  await producer.close()
  await t.rejects(producer.publish('a', ''), { code: 'CLOSED' })
  const next = await another(outbox)
  t.equal((await next.connection.next('PRODUCER_OPEN')).confirmedSequence, 1)
})

function watchedOutbox(): { outbox: ProducerOutbox; commits: ProducerOutboxChange[] } {
  const memory = openMemoryProducerOutbox()
  const commits: ProducerOutboxChange[] = []
  const commit = (change: ProducerOutboxChange) => {
    commits.push(change)
    return memory.commit(change)
  }
  return { outbox: { ...memory, commit }, commits }
}

/** Rows behind the first one that is still there. */
async function rowsAfterFirst(outbox: ProducerOutbox): Promise<number> {
  const last = await outbox.lastSequence()
  for (let after = 0; after < last; after += 1) {
    const rows = await outbox.read(after, 1_000, 1e6)
    if (rows.length > 0) return rows.length
  }
  return 0
}
