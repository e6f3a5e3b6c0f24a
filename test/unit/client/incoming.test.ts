/** QoS 1 and 2 in: once to the application, acknowledged when it is done, in the order of arrival. */
import t from 'tap'
import type { Message } from '../../../src/client/api.js'
import { openMemoryOutbox } from '../../../src/client/outbox-memory.js'
import type { TallyError } from '../../../src/client/tally-error.js'
import { ScriptedBroker, settle } from '../../support/client-script.js'

const PRESENT = () => ({ sessionPresent: true })

t.test('QoS 2 in: PUBREC when the callback is done, PUBCOMP after PUBREL, one message', async (t) => {
  const broker = new ScriptedBroker()
  const got = await collecting(broker)
  const connection = await broker.at(0)
  connection.publish('a', { qos: 2, packetId: 5, deliverySequence: 1, messageId: 9 })
  t.same(await connection.sent(), ['PUBREC 5'])
  connection.publish('a', { qos: 2, packetId: 5, dup: true, deliverySequence: 1, messageId: 9 })
  t.same(await connection.sent(), ['PUBREC 5'])
  connection.ack('PUBREL', 5)
  t.same(await connection.sent(), ['PUBCOMP 5'])
  t.match(got.messages, [{ topicName: 'a', qos: 2, dup: false, deliverySequence: 1, messageId: 9 }])
  connection.publish('b', { qos: 2, packetId: 5 })
  t.same(await connection.sent(), ['PUBREC 5'])
  t.same(
    got.messages.map((message) => message.text()),
    ['a', 'b'],
  )
})

t.test('acks of one turn leave as one range in one write', async (t) => {
  const broker = new ScriptedBroker()
  await collecting(broker)
  const connection = await broker.at(0)
  const before = connection.writes
  for (let packetId = 1; packetId <= 20; packetId += 1) connection.publish('a', { qos: 1, packetId })
  t.same(await connection.sent(), ['PUBACK 1..20'])
  t.equal(connection.writes, before + 1)
})

t.test('lost before PUBREC leaves: the repetition is acknowledged and not handed over again', async (t) => {
  const broker = new ScriptedBroker()
  let done = () => {}
  const got = await collecting(broker, () => new Promise<void>((resolve) => (done = resolve)))
  const first = await broker.at(0)
  first.publish('a', { qos: 2, packetId: 1 })
  await settle()
  first.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  second.publish('a', { qos: 2, packetId: 1, dup: true })
  t.same(await second.sent(), [])
  done()
  t.same(await second.sent(), ['PUBREC 1'])
  second.ack('PUBREL', 1)
  t.same(await second.sent(), ['PUBCOMP 1'])
  t.equal(got.messages.length, 1)
})

t.test('done while offline: acknowledged when the repetition comes', async (t) => {
  const broker = new ScriptedBroker()
  let done = () => {}
  const got = await collecting(broker, () => new Promise<void>((resolve) => (done = resolve)))
  const first = await broker.at(0)
  first.publish('a', { qos: 1, packetId: 1 })
  await settle()
  first.drop()
  await settle()
  done()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  second.publish('a', { qos: 1, packetId: 1, dup: true })
  t.same(await second.sent(), ['PUBACK 1'])
  t.equal(got.messages.length, 1)
})

t.test('lost after PUBREC: PUBREL alone finishes it, a PUBLISH again gets PUBREC again', async (t) => {
  const broker = new ScriptedBroker()
  const got = await collecting(broker)
  const first = await broker.at(0)
  first.publish('a', { qos: 2, packetId: 1 })
  first.publish('b', { qos: 2, packetId: 2 })
  t.same(await first.sent(), ['PUBREC 1..2'])
  first.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  second.publish('a', { qos: 2, packetId: 1, dup: true })
  second.ack('PUBREL', 2)
  t.same(await second.sent(), ['PUBREC 1', 'PUBCOMP 2'])
  t.equal(got.messages.length, 2)
})

t.test('lost after PUBCOMP: a PUBREL of an unknown id gets PUBCOMP 0x92', async (t) => {
  const broker = new ScriptedBroker()
  await collecting(broker)
  const first = await broker.at(0)
  first.publish('a', { qos: 2, packetId: 1 })
  await first.sent()
  first.ack('PUBREL', 1)
  t.same(await first.sent(), ['PUBCOMP 1'])
  first.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  second.ack('PUBREL', 1)
  t.same(await second.sent(), ['PUBCOMP 1 0x92'])
})

t.test('session gone: the same id is another message, and late acknowledgements of old ones say nothing', async (t) => {
  const broker = new ScriptedBroker()
  const done: (() => void)[] = []
  const got = await collecting(broker, () => new Promise<void>((resolve) => done.push(resolve)))
  const first = await broker.at(0)
  first.publish('old', { qos: 2, packetId: 1 })
  await settle()
  first.drop()
  broker.answer = () => ({})
  const second = await broker.comesBack(1)
  t.same(await second.next('SUBSCRIBE').then((packet) => packet.subscriptions.length), 1)
  // DUP as it would be if its first sending had been lost: even so it is none of the old session.
  second.publish('new', { qos: 2, packetId: 1, dup: true })
  await settle()
  done[0]?.()
  t.same(await second.sent(), [])
  done[1]?.()
  t.same(await second.sent(), ['PUBREC 1'])
  t.same(
    got.messages.map((message) => message.topicName),
    ['old', 'new'],
  )
})

t.test('with an outbox PUBREC leaves when the receipt is stored, PUBCOMP when it is gone', async (t) => {
  const broker = new ScriptedBroker()
  const memory = openMemoryOutbox()
  const waiting: (() => void)[] = []
  const outbox = {
    ...memory,
    commit: async (changes: Parameters<typeof memory.commit>[0]) => {
      await new Promise<void>((resolve) => waiting.push(resolve))
      await memory.commit(changes)
    },
  }
  await collecting(broker, undefined, { clientId: 'c', outbox })
  const connection = await broker.at(0)
  connection.publish('a', { qos: 2, packetId: 3 })
  t.same(await connection.sent(), [])
  waiting.shift()?.()
  t.same(await connection.sent(), ['PUBREC 3'])
  t.same((await memory.load()).receivedPacketIds, [3])
  connection.ack('PUBREL', 3)
  t.same(await connection.sent(), [])
  waiting.shift()?.()
  t.same(await connection.sent(), ['PUBCOMP 3'])
  t.same((await memory.load()).receivedPacketIds, [])
})

t.test('the process dies after PUBREC: the next one does not hand the repetition out again', async (t) => {
  const outbox = openMemoryOutbox()
  const broker = new ScriptedBroker()
  await collecting(broker, undefined, { clientId: 'c', outbox, reconnect: false })
  const first = await broker.at(0)
  first.publish('a', { qos: 2, packetId: 3 })
  t.same(await first.sent(), ['PUBREC 3'])
  first.drop()
  broker.answer = PRESENT
  const got: Message[] = []
  const after = await broker.open({ clientId: 'c', outbox })
  after.on('message', (message) => void got.push(message))
  const second = await broker.at(1)
  second.publish('a', { qos: 2, packetId: 3, dup: true })
  t.same(await second.sent(), ['PUBREC 3'])
  t.same(got, [])
})

t.test('manual acks leave in the order of arrival, whatever the order of the calls [v5 MQTT-4.6.0-2]', async (t) => {
  const broker = new ScriptedBroker()
  const got = await collecting(broker, undefined, { manualAck: true })
  const connection = await broker.at(0)
  for (const packetId of [1, 2, 3]) connection.publish(`one/${packetId}`, { qos: 1, packetId })
  for (const packetId of [4, 5]) connection.publish(`two/${packetId}`, { qos: 2, packetId })
  t.same(await connection.sent(), [])
  got.messages[2]?.acknowledge()
  got.messages[1]?.acknowledge()
  got.messages[4]?.acknowledge()
  t.same(await connection.sent(), [])
  got.messages[0]?.acknowledge()
  got.messages[0]?.acknowledge()
  t.same(await connection.sent(), ['PUBACK 1..3'])
  got.messages[3]?.acknowledge()
  t.same(await connection.sent(), ['PUBREC 4..5'])
})

t.test('a callback that fails is reported, its message not acknowledged, and it comes again', async (t) => {
  const broker = new ScriptedBroker()
  let calls = 0
  const got = await collecting(broker, async () => {
    calls += 1
    if (calls === 1) throw new Error('the database is away')
  })
  const first = await broker.at(0)
  first.publish('a', { qos: 1, packetId: 1 })
  t.same(await first.sent(), [])
  t.match(got.errors, [{ code: 'LISTENER_FAILED', cause: { message: 'the database is away' } }])
  first.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  second.publish('a', { qos: 1, packetId: 1, dup: true })
  t.same(await second.sent(), ['PUBACK 1'])
  t.equal(got.messages.length, 2)
})

t.test('more unacknowledged messages than our Receive Maximum is a protocol error 0x93', async (t) => {
  const broker = new ScriptedBroker()
  const got = await collecting(broker, undefined, { receiveMaximum: 2, manualAck: true })
  const connection = await broker.at(0)
  t.equal(connection.connect?.properties.receiveMaximum, 2)
  for (const packetId of [1, 2, 3]) connection.publish('a', { qos: 1, packetId })
  t.match(await connection.next('DISCONNECT'), { reasonCode: 0x93 })
  await settle()
  t.match(got.client.state, { name: 'closed', reason: { error: { code: 'PROTOCOL_ERROR', reasonCode: 0x93 } } })
})

t.test('what an earlier connection left unacknowledged does not count against Receive Maximum', async (t) => {
  const broker = new ScriptedBroker()
  const got = await collecting(broker, undefined, { receiveMaximum: 2, manualAck: true })
  const first = await broker.at(0)
  for (const packetId of [1, 2]) first.publish('a', { qos: 2, packetId })
  got.messages[0]?.acknowledge()
  t.same(await first.sent(), ['PUBREC 1'])
  first.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  // The broker has let number 2 expire, and 1 still waits for its PUBREL.
  for (const packetId of [3, 4]) second.publish('b', { qos: 2, packetId })
  await settle()
  t.equal(got.client.state.name, 'connected')
  t.equal(got.messages.length, 4)
  second.publish('b', { qos: 1, packetId: 5 })
  t.match(await second.next('DISCONNECT'), { reasonCode: 0x93 })
})

t.test('topic aliases of the broker are resolved, and end with the connection', async (t) => {
  const broker = new ScriptedBroker('mqtt')
  const got = await collecting(broker, undefined, { properties: { topicAliasMaximum: 5 } })
  const connection = await broker.at(0)
  connection.publish('a/b', { properties: { topicAlias: 2 } })
  connection.publish('', { properties: { topicAlias: 2 } })
  await settle()
  t.same(
    got.messages.map((message) => message.topicName),
    ['a/b', 'a/b'],
  )
  connection.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  second.publish('', { properties: { topicAlias: 2 } })
  t.match(await second.next('DISCONNECT'), { reasonCode: 0x94 })
})

/** A client with a `message` listener and one subscription, already granted. */
async function collecting(
  broker: ScriptedBroker,
  work: (message: Message) => void | Promise<void> = () => {},
  options: Parameters<ScriptedBroker['open']>[0] = {},
) {
  const client = await broker.open({ clientId: 'c', ...options })
  const messages: Message[] = []
  const errors: TallyError[] = []
  client.on('error', (error) => void errors.push(error))
  const subscribed = client.subscribe('#', {
    qos: 2,
    onMessage: (message) => {
      messages.push(message)
      return work(message)
    },
  })
  const connection = await broker.at(0)
  const { packetId } = await connection.next('SUBSCRIBE')
  connection.send({ type: 9, packetId, reasonCodes: [2], properties: null })
  await subscribed
  return { client, messages, errors }
}
