/** Subscriptions: exchanges across reconnects, iteration with back-pressure, who gets what. */
import t from 'tap'
import type { Client, Message, SubscribeOptions } from '../../../src/client/api.js'
import type { TallyError } from '../../../src/client/tally-error.js'
import { PacketType } from '../../../src/protocol/packets.js'
import { ScriptedBroker, type ScriptedConnection, settle, stateOf } from '../../support/client-script.js'

const PRESENT = () => ({ sessionPresent: true })

t.test('subscribe resolves with the reason codes of SUBACK and sends what was asked', async (t) => {
  const { client, connection } = await started()
  const subscribing = client.subscribe(['a', { topicFilter: 'b/#', qos: 2, retainHandling: 2 }], {
    qos: 1,
    noLocal: true,
    subscriptionIdentifier: 7,
  })
  const packet = await connection.next('SUBSCRIBE')
  t.same(packet.subscriptions, [
    { topicFilter: 'a', qos: 1, noLocal: true, retainAsPublished: false, retainHandling: 0 },
    { topicFilter: 'b/#', qos: 2, noLocal: true, retainAsPublished: false, retainHandling: 2 },
  ])
  t.same(packet.properties, { subscriptionIdentifier: 7 })
  suback(connection, packet.packetId, [1, 0x87])
  const subscription = await subscribing
  t.same(subscription.reasonCodes, [1, 0x87])
  t.same(subscription.topicFilters, ['a'])
})

t.test('subscribe rejects when every filter is refused', async (t) => {
  const { client, connection } = await started()
  const subscribing = client.subscribe('a')
  suback(connection, (await connection.next('SUBSCRIBE')).packetId, [0x87])
  await t.rejects(subscribing, { code: 'SUBSCRIBE_REFUSED', reasonCode: 0x87, message: /"a"/ })
})

t.test('filters that cannot be are refused before they are sent', async (t) => {
  const { client, connection } = await started()
  for (const filter of ['', 'a/#/b', 'a+', '$share/x', '$share//a']) {
    await t.rejects(client.subscribe(filter), { code: 'INVALID_ARGUMENT' }, JSON.stringify(filter))
  }
  await t.rejects(client.subscribe([]), { code: 'INVALID_ARGUMENT' })
  await t.rejects(client.subscribe('$share/g/a', { noLocal: true }), { code: 'INVALID_ARGUMENT' })
  t.same(await connection.sent(), [])
})

t.test('an unanswered SUBSCRIBE is asked again on the next connection', async (t) => {
  const { broker, client, connection } = await started()
  const subscribing = client.subscribe('a')
  await connection.next('SUBSCRIBE')
  connection.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  suback(second, (await second.next('SUBSCRIBE')).packetId, [0])
  t.same((await subscribing).reasonCodes, [0])
})

t.test('session kept: subscriptions are not repeated; session gone: they are, and a refusal ends them', async (t) => {
  const { broker, client, connection } = await started()
  const errors: TallyError[] = []
  client.on('error', (error) => void errors.push(error))
  const kept = await subscribed(client, connection, ['a'])
  const refused = await subscribed(client, connection, ['b'])
  connection.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  t.same(await second.sent(), [])
  second.drop()
  broker.answer = () => ({})
  const third = await broker.comesBack(2)
  suback(third, (await third.next('SUBSCRIBE')).packetId, [0])
  suback(third, (await third.next('SUBSCRIBE')).packetId, [0x87])
  await t.rejects(refused[Symbol.asyncIterator]().next(), { code: 'SUBSCRIBE_REFUSED' })
  third.publish('a')
  t.match(await take(kept), { topicName: 'a' })
  t.match(errors, [{ code: 'SESSION_LOST' }, { code: 'SUBSCRIBE_REFUSED' }])
})

t.test('a message is acknowledged when the loop asks for the next one, not when it is handed over', async (t) => {
  const { client, connection } = await started()
  const subscription = await subscribed(client, connection, ['#'])
  connection.publish('a', { qos: 1, packetId: 1 })
  connection.publish('b', { qos: 2, packetId: 2 })
  const iterator = subscription[Symbol.asyncIterator]()
  await iterator.next()
  t.same(await connection.sent(), [])
  await iterator.next()
  t.same(await connection.sent(), ['PUBACK 1'])
  const third = iterator.next()
  t.same(await connection.sent(), ['PUBREC 2'])
  connection.publish('c', { qos: 1, packetId: 3 })
  t.match(await third, { value: { topicName: 'c' } })
  await iterator.return?.()
  t.same(await connection.sent(), ['PUBACK 3'])
})

t.test('a consumer that does not take holds the acks back; nothing at QoS 1 is dropped', async (t) => {
  const { client, connection } = await started()
  const subscription = await subscribed(client, connection, ['#'], { bufferMessagesMax: 2 })
  for (let packetId = 1; packetId <= 50; packetId += 1) connection.publish(`${packetId}`, { qos: 1, packetId })
  t.same(await connection.sent(), [])
  t.equal(subscription.droppedMessages, 0)
  const topics: string[] = []
  for await (const message of subscription) {
    topics.push(message.topicName)
    if (topics.length === 50) break
  }
  t.same(
    topics,
    Array.from({ length: 50 }, (_, index) => `${index + 1}`),
  )
  t.match((await connection.sent()).at(-1), /50$/)
})

t.test('QoS 0 beyond the buffer: the oldest go and are counted, order is kept beside QoS 1', async (t) => {
  const { client, connection } = await started()
  const subscription = await subscribed(client, connection, ['#'], { bufferMessagesMax: 2 })
  connection.publish('0a')
  connection.publish('1a', { qos: 1, packetId: 1 })
  connection.publish('0b')
  connection.publish('0c')
  connection.publish('1b', { qos: 1, packetId: 2 })
  t.equal(subscription.droppedMessages, 1)
  const topics: string[] = []
  for (let count = 0; count < 4; count += 1) topics.push((await take(subscription)).topicName)
  t.same(topics, ['1a', '0b', '0c', '1b'])
})

t.test('overlapping subscriptions each get the message; it is acknowledged when both are done', async (t) => {
  const { client, connection } = await started()
  const done: (() => void)[] = []
  const onMessage = () => new Promise<void>((resolve) => done.push(resolve))
  await subscribed(client, connection, ['a/+'], { onMessage })
  await subscribed(client, connection, ['#'], { onMessage })
  connection.publish('a/b', { qos: 1, packetId: 1 })
  t.equal(done.length, 2)
  done[1]?.()
  t.same(await connection.sent(), [])
  done[0]?.()
  t.same(await connection.sent(), ['PUBACK 1'])
})

t.test('a subscription with an identifier gets what carries it, and nothing else', async (t) => {
  const { client, connection } = await started()
  const marked: string[] = []
  const plain: string[] = []
  const mark = (list: string[]) => (message: Message) => void list.push(message.topicName)
  await subscribed(client, connection, ['$share/g/#'], { subscriptionIdentifier: 9, onMessage: mark(marked) })
  await subscribed(client, connection, ['a/#'], { onMessage: mark(plain) })
  connection.publish('a/1', { properties: { subscriptionIdentifiers: [9] } })
  connection.publish('b', { properties: { subscriptionIdentifiers: [9] } })
  connection.publish('a/2')
  t.same(marked, ['a/1', 'b'])
  t.same(plain, ['a/1', 'a/2'])
})

t.test('a subscription that nobody iterates does not hold up a message listener', async (t) => {
  const { client, connection } = await started()
  const heard: string[] = []
  client.on('message', (message) => void heard.push(message.topicName))
  const subscription = await subscribed(client, connection, ['#'])
  connection.publish('a', { qos: 1, packetId: 1 })
  t.same(await connection.sent(), ['PUBACK 1'])
  t.same(heard, ['a'])
  t.match(await take(subscription), { topicName: 'a' })
})

t.test('a callback that returns something else than a promise is done when it returns', async (t) => {
  const { client, connection } = await started()
  const topics: string[] = []
  await subscribed(client, connection, ['#'], { onMessage: ((m: Message) => topics.push(m.topicName)) as never })
  connection.publish('a', { qos: 1, packetId: 1 })
  t.same(await connection.sent(), ['PUBACK 1'])
})

t.test('unsubscribe ends the loop, acknowledges what waits, and leaves filters that others need', async (t) => {
  const { client, connection } = await started()
  const first = await subscribed(client, connection, ['a', 'b'])
  await subscribed(client, connection, ['b'], { onMessage: () => {} })
  const iterator = first[Symbol.asyncIterator]()
  connection.publish('a', { qos: 1, packetId: 1 })
  const second = iterator.next().then(() => iterator.next())
  await settle()
  connection.packets.length = 0
  connection.publish('a', { qos: 1, packetId: 2 })
  t.match(await second, { done: false, value: { topicName: 'a' } })
  connection.publish('a', { qos: 1, packetId: 3 })
  const unsubscribing = first.unsubscribe()
  // The loop had number 2 in hand; number 3 was never taken. Both go.
  const [unsubscribe, ack] = [await nextUnsubscribe(connection), 'PUBACK 2..3']
  t.same(unsubscribe.topicFilters, ['a'])
  t.same(unsubscribe.before, [ack])
  t.equal(await stateOf(unsubscribing), 'pending')
  connection.send({ type: PacketType.UNSUBACK, packetId: unsubscribe.packetId, reasonCodes: [0], properties: null })
  await unsubscribing
  t.match(await iterator.next(), { done: true })
  await first.unsubscribe()
})

t.test('client.unsubscribe takes filters out of subscriptions, and reports a refusal', async (t) => {
  const { client, connection } = await started()
  const subscription = await subscribed(client, connection, ['a', 'b'])
  const unsubscribing = client.unsubscribe(['a'])
  const { packetId } = await connection.next('UNSUBSCRIBE')
  connection.send({ type: PacketType.UNSUBACK, packetId, reasonCodes: [0x87], properties: null })
  await t.rejects(unsubscribing, { code: 'UNSUBSCRIBE_REFUSED', reasonCode: 0x87 })
  t.same(subscription.topicFilters, ['b'])
})

t.test('the signal of subscribe: before SUBACK it gives up and undoes, afterwards it ends the loop', async (t) => {
  const { client, connection } = await started()
  const early = new AbortController()
  const subscribing = client.subscribe('a', { signal: early.signal })
  const { packetId } = await connection.next('SUBSCRIBE')
  early.abort()
  await t.rejects(subscribing, { code: 'ABORTED' })
  suback(connection, packetId, [0])
  t.same((await connection.next('UNSUBSCRIBE')).topicFilters, ['a'])

  const late = new AbortController()
  const subscription = await subscribed(client, connection, ['b'], { signal: late.signal })
  const next = subscription[Symbol.asyncIterator]().next()
  late.abort()
  t.match(await next, { done: true })
  t.same((await connection.next('UNSUBSCRIBE')).topicFilters, ['b'])
})

t.test('close ends loops normally and leaves what they have not taken to the session', async (t) => {
  const { client, connection } = await started()
  const subscription = await subscribed(client, connection, ['#'])
  connection.publish('a', { qos: 1, packetId: 1 })
  connection.publish('b', { qos: 1, packetId: 2 })
  const topics: string[] = []
  for await (const message of subscription) {
    topics.push(message.topicName)
    await client.close()
  }
  t.same(topics, ['a'])
  t.same(await connection.sent(), ['DISCONNECT'])
})

t.test('a loop that is left with break and then closed has acknowledged what it had', async (t) => {
  const { client, connection } = await started()
  const subscription = await subscribed(client, connection, ['#'])
  connection.publish('a', { qos: 2, packetId: 1 })
  for await (const _ of subscription) break
  await client.close()
  t.same(await connection.sent(), ['PUBREC 1', 'DISCONNECT'])
})

t.test('a client that fails ends its loops with the reason', async (t) => {
  const { client, connection } = await started({ reconnect: false })
  const subscription = await subscribed(client, connection, ['#'])
  const next = subscription[Symbol.asyncIterator]().next()
  connection.drop()
  await t.rejects(next, { code: 'CONNECTION_LOST' })
})

t.test('messages of a resumed session wait for the subscription of this process', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = PRESENT
  const client = await broker.open({ clientId: 'c' })
  const connection = await broker.at(0)
  connection.publish('a', { qos: 2, packetId: 1 })
  connection.publish('b', { qos: 1, packetId: 2 })
  t.same(await connection.sent(), [])
  const subscription = await subscribed(client, connection, ['a'])
  t.match(await take(subscription), { topicName: 'a' })
  const errors: TallyError[] = []
  client.on('error', (error) => void errors.push(error))
  broker.clock.advance(10_000)
  t.ok((await connection.sent()).includes('PUBACK 2'))
  t.match(errors, [{ code: 'UNCLAIMED_MESSAGE', message: /"b"/ }])
})

async function started(options: Parameters<ScriptedBroker['open']>[0] = {}) {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c', ...options })
  return { broker, client, connection: await broker.at(0) }
}

async function subscribed(
  client: Client,
  connection: ScriptedConnection,
  filters: readonly string[],
  options: SubscribeOptions = {},
) {
  const subscribing = client.subscribe(filters, { qos: 2, ...options })
  const { packetId } = await connection.next('SUBSCRIBE')
  suback(
    connection,
    packetId,
    filters.map(() => 2),
  )
  return subscribing
}

function suback(connection: ScriptedConnection, packetId: number, reasonCodes: number[]): void {
  connection.send({ type: PacketType.SUBACK, packetId, reasonCodes, properties: null })
}

async function take(subscription: AsyncIterable<Message>): Promise<Message> {
  const { value } = await subscription[Symbol.asyncIterator]().next()
  return value as Message
}

async function nextUnsubscribe(connection: ScriptedConnection) {
  await settle()
  const index = connection.packets.findIndex((packet) => packet.type === PacketType.UNSUBSCRIBE)
  const later = connection.packets.splice(index)
  const before = await connection.sent()
  connection.packets.push(...later)
  const { packetId, topicFilters } = await connection.next('UNSUBSCRIBE')
  return { packetId, topicFilters, before }
}
