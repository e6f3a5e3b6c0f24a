/** A consumer that keeps its cursor in its own transaction: what is skipped, what is handed over, and when it stops. */
import t from 'tap'
import type { ConnectOptions, Message } from '../../../src/client/api.js'
import { CursorCheck } from '../../../src/client/delivery-cursor.js'
import { openMemoryOutbox } from '../../../src/client/outbox-memory.js'
import { TallyError } from '../../../src/client/tally-error.js'
import type { PublishPacket } from '../../../src/protocol/packets.js'
import { ScriptedBroker, type ScriptedConnection, settle, stateOf } from '../../support/client-script.js'

const SESSION = { sessionPresent: true, sessionNumber: 7 }

async function consumer(options: Partial<ConnectOptions>, connack: object = SESSION) {
  const broker = new ScriptedBroker()
  broker.answer = () => connack
  const client = await broker.open({ clientId: 'c', manualAck: true, ...options })
  const messages: Message[] = []
  client.on('message', (message) => void messages.push(message))
  return { broker, client, messages, connection: await broker.at(0) }
}

function deliver(connection: ScriptedConnection, deliverySequence: number, fields: Partial<PublishPacket> = {}): void {
  const packetId = fields.packetId ?? deliverySequence
  connection.publish('a', { qos: 1, packetId, deliverySequence, messageId: 100 + deliverySequence, ...fields })
}

const sequences = (messages: readonly Message[]) => messages.map(({ deliverySequence }) => deliverySequence)

t.test('CONNECT carries the cursor, and CONNACK tells which session it is of', async (t) => {
  const deliveryCursor = { sessionNumber: 7, deliverySequence: 41 }
  const { client, connection } = await consumer({ deliveryCursor }, { ...SESSION, incarnation: 'b7' })
  t.same(connection.connect?.deliveryCursor, deliveryCursor)
  t.match(client.connack, { sessionNumber: 7, incarnation: 'b7' })
  const without = await consumer({})
  t.equal(without.connection.connect?.deliveryCursor, undefined)
  const none = await consumer({ deliveryCursor: null }, { sessionNumber: 7 })
  t.equal(none.connection.connect?.deliveryCursor, undefined)
})

t.test('what is not above the cursor is acknowledged and not handed over', async (t) => {
  for (const qos of [1, 2] as const) {
    const { connection, messages } = await consumer({ deliveryCursor: { sessionNumber: 7, deliverySequence: 2 } })
    for (const sequence of [1, 2]) deliver(connection, sequence, { qos, dup: true })
    deliver(connection, 3, { qos })
    t.same(sequences(messages), [3])
    t.same(await connection.sent(), [qos === 1 ? 'PUBACK 1..2' : 'PUBREC 1..2'])
    messages[0]?.acknowledge()
    t.same(await connection.sent(), [qos === 1 ? 'PUBACK 3' : 'PUBREC 3'])
  }
})

t.test('a gap ends the client; what is behind it is neither handed over nor acknowledged', async (t) => {
  for (const [sequences_, code] of [
    [[4], 'DELIVERY_GAP'],
    [[3, 5], 'DELIVERY_GAP'],
  ] as const) {
    const { connection, messages, client } = await consumer({
      deliveryCursor: { sessionNumber: 7, deliverySequence: 2 },
    })
    for (const sequence of sequences_) deliver(connection, sequence)
    deliver(connection, 6)
    t.same(sequences(messages), sequences_.slice(0, -1))
    t.match(client.state, { name: 'closed', reason: { kind: 'failed', error: { code, retryable: false } } })
    t.notOk((await connection.sent()).some((sent) => sent.startsWith('PUBACK')))
  }
})

t.test('an iteration ends with the gap', async (t) => {
  const { connection, client } = await consumer({ deliveryCursor: null }, { sessionNumber: 7 })
  const subscribing = client.subscribe('a', { qos: 1 })
  const { packetId } = await connection.next('SUBSCRIBE')
  connection.send({ type: 9, packetId, reasonCodes: [1], properties: null })
  const next = (await subscribing)[Symbol.asyncIterator]().next()
  t.equal(await stateOf(next), 'pending')
  deliver(connection, 2)
  await t.rejects(next, { code: 'DELIVERY_GAP', message: /delivery 1 is missing, 2 came/ })
})

t.test('another session than the cursor’s: the client does not even begin', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ sessionPresent: false, sessionNumber: 8 })
  const cursor = { sessionNumber: 7, deliverySequence: 2 }
  const opening = broker.open({ clientId: 'c', deliveryCursor: cursor })
  await t.rejects(opening, { code: 'SESSION_REPLACED', message: /session 7, .*session 8/ })
  broker.answer = () => ({ sessionPresent: true })
  await t.rejects(broker.open({ clientId: 'c', deliveryCursor: cursor }), { code: 'PROTOCOL_ERROR' })
})

t.test('a reconnect carries what has been acknowledged since, and another session ends the client', async (t) => {
  const { broker, client, connection, messages } = await consumer({ deliveryCursor: null }, { sessionNumber: 7 })
  for (const sequence of [1, 2, 3]) deliver(connection, sequence)
  messages[0]?.acknowledge()
  messages[2]?.acknowledge()
  connection.drop()
  broker.answer = () => SESSION
  const second = await broker.comesBack(1)
  t.same(second.connect?.deliveryCursor, { sessionNumber: 7, deliverySequence: 1 })
  deliver(second, 2, { dup: true })
  deliver(second, 3, { dup: true })
  deliver(second, 4)
  t.same(sequences(messages), [1, 2, 3, 4], 'nothing twice')
  messages[1]?.acknowledge()
  t.same(await second.sent(), ['PUBACK 2..3'])
  messages[3]?.acknowledge()
  second.drop()
  broker.answer = () => ({ sessionPresent: false, sessionNumber: 8 })
  const third = await broker.comesBack(2)
  t.same(third.connect?.deliveryCursor, { sessionNumber: 7, deliverySequence: 4 })
  await settle()
  t.match(client.state, { name: 'closed', reason: { error: { code: 'SESSION_REPLACED' } } })
})

t.test('an id that the broker has given up does not swallow the next message under it', async (t) => {
  const outbox = openMemoryOutbox()
  const { broker, connection, messages } = await consumer({ deliveryCursor: null, outbox }, { sessionNumber: 7 })
  deliver(connection, 1, { qos: 2, packetId: 5 })
  messages[0]?.acknowledge()
  await settle()
  t.same((await outbox.load()).receivedPacketIds, [5], 'a receipt, whose PUBREC is lost')
  connection.drop()
  broker.answer = () => SESSION
  const second = await broker.comesBack(1)
  deliver(second, 2, { qos: 2, packetId: 5 })
  t.same(sequences(messages), [1, 2])
  messages[1]?.acknowledge()
  await settle()
  t.same(await second.sent(), ['PUBREC 5'])
})

t.test('a message whose callback failed is handed over again', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ sessionNumber: 7 })
  const client = await broker.open({ clientId: 'c', deliveryCursor: null })
  const heard: (number | undefined)[] = []
  client.on('message', ({ deliverySequence }) => {
    heard.push(deliverySequence)
    if (heard.length === 1) throw new Error('not now')
  })
  const first = await broker.at(0)
  deliver(first, 1)
  first.drop()
  broker.answer = () => SESSION
  const second = await broker.comesBack(1)
  t.equal(second.connect?.deliveryCursor?.deliverySequence, 0)
  deliver(second, 1, { dup: true })
  t.same(heard, [1, 1])
  t.same(await second.sent(), ['PUBACK 1'])
})

t.test('what needs no cursor, and what cannot have one', async (t) => {
  const broker = new ScriptedBroker()
  const deliveryCursor = { sessionNumber: 1, deliverySequence: 0 }
  await t.rejects(broker.open({ deliveryCursor }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(broker.open({ deliveryCursor, clientId: 'c', cleanStart: true }), { code: 'INVALID_ARGUMENT' })
  const wrong = { sessionNumber: 0, deliverySequence: 0 }
  await t.rejects(broker.open({ deliveryCursor: wrong, clientId: 'c' }), { code: 'INVALID_ARGUMENT' })
  const mqtt = new ScriptedBroker('mqtt')
  await t.rejects(mqtt.open({ deliveryCursor, clientId: 'c' }), { code: 'INVALID_ARGUMENT' })
})

t.test('acknowledgements may come in any order, the cursor moves without a gap', async (t) => {
  const check = new CursorCheck({ sessionNumber: 7, deliverySequence: 10 })
  t.equal(check.connected(7), null)
  for (const sequence of [11, 12, 13, 14]) t.equal(check.receive(sequence), 'new')
  check.handled(13)
  check.handled(12)
  t.equal(check.cursor?.deliverySequence, 10)
  t.equal(check.receive(12), 'handled')
  t.equal(check.receive(11), 'again')
  check.handled(11)
  t.equal(check.cursor?.deliverySequence, 13)
  check.handled(5)
  t.equal(check.cursor?.deliverySequence, 13)
  t.equal(check.receive(13), 'handled')
  t.ok(check.receive(16) instanceof TallyError)
  t.equal(new CursorCheck(null).cursor, null)
})
