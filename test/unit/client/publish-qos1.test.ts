/** QoS 1 out: the connection ends, or the process does, after every step. */
import t from 'tap'
import { openMemoryOutbox } from '../../../src/client/outbox-memory.js'
import type { TallyError } from '../../../src/client/tally-error.js'
import { ScriptedBroker, settle, stateOf } from '../../support/client-script.js'

t.test('a QoS 1 publish resolves with its PUBACK and not earlier', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  const published = client.publish('a', 'payload', { qos: 1 })
  const packet = await connection.next('PUBLISH')
  t.match(packet, { topicName: 'a', qos: 1, dup: false, packetId: 1 })
  t.equal(await stateOf(published), 'pending')
  connection.ack('PUBACK', 1, 0x10)
  t.same(await published, { qos: 1, reasonCode: 0x10, properties: null })
  t.equal(client.unfinishedPublishes, 0)
})

t.test('a PUBACK with a failure rejects, and the id is free again', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  const published = client.publish('a', 'payload', { qos: 1 })
  await connection.next('PUBLISH')
  connection.ack('PUBACK', 1, 0x97)
  await t.rejects(published, { code: 'PUBLISH_REFUSED', reasonCode: 0x97, retryable: true })
  t.equal(client.unfinishedPublishes, 0)
})

t.test('lost before PUBACK, session kept: sent again with DUP, the same id and in order', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const first = await broker.at(0)
  const all = ['a', 'b', 'c'].map((topicName) => client.publish(topicName, '', { qos: 1 }))
  t.same(await first.sent(), ['PUBLISH a id=1', 'PUBLISH b id=2', 'PUBLISH c id=3'])
  first.ack('PUBACK', 2)
  first.drop()
  const late = client.publish('d', '', { qos: 1 })
  broker.answer = () => ({ sessionPresent: true })
  const second = await broker.comesBack(1)
  t.equal(second.connect?.cleanStart, false)
  t.same(await second.sent(), ['PUBLISH a id=1 dup', 'PUBLISH c id=3 dup', 'PUBLISH d id=4'])
  second.ack('PUBACK', 1, 0, 4)
  await Promise.all([...all, late])
  t.equal(client.unfinishedPublishes, 0)
})

t.test('lost before PUBACK, session gone: sent anew without DUP', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const errors: TallyError[] = []
  client.on('error', (error) => void errors.push(error))
  const published = client.publish('a', '', { qos: 1 })
  const first = await broker.at(0)
  await first.next('PUBLISH')
  first.drop()
  const second = await broker.comesBack(1)
  t.same(await second.sent(), ['PUBLISH a id=1'])
  second.ack('PUBACK', 1)
  await published
  t.match(errors, [{ code: 'SESSION_LOST' }])
})

t.test('PUBACK came and then the end: nothing is sent again', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const first = await broker.at(0)
  const published = client.publish('a', '', { qos: 1 })
  await first.next('PUBLISH')
  first.ack('PUBACK', 1)
  first.drop()
  await published
  broker.answer = () => ({ sessionPresent: true })
  const second = await broker.comesBack(1)
  t.same(await second.sent(), [])
})

t.test('with an outbox nothing is sent before it is stored', async (t) => {
  const broker = new ScriptedBroker()
  const outbox = openMemoryOutbox()
  let store = () => {}
  const slow = { ...outbox, commit: () => new Promise<void>((resolve) => (store = resolve)) }
  const client = await broker.open({ clientId: 'c', outbox: slow })
  const connection = await broker.at(0)
  const published = client.publish('a', '', { qos: 1 })
  const stored = client.stored()
  t.same(await connection.sent(), [])
  t.equal(await stateOf(stored), 'pending')
  store()
  await stored
  t.same(await connection.sent(), ['PUBLISH a id=1'])
  connection.ack('PUBACK', 1)
  await published
})

t.test('the process dies before PUBACK: the next one sends from the outbox first, same id', async (t) => {
  const outbox = openMemoryOutbox()
  const broker = new ScriptedBroker()
  const before = await broker.open({ clientId: 'c', outbox, reconnect: false })
  const first = await broker.at(0)
  const lost = before.publish('a', 'x', { qos: 1, retain: true, properties: { contentType: 'text' } })
  await first.next('PUBLISH')
  first.drop()
  await t.rejects(lost, { code: 'CONNECTION_LOST' })

  broker.answer = () => ({ sessionPresent: true })
  const after = await broker.open({ clientId: 'c', outbox })
  const second = await broker.at(1)
  const fresh = after.publish('b', '', { qos: 1 })
  const again = await second.next('PUBLISH')
  t.match(again, { topicName: 'a', packetId: 1, dup: true, retain: true, properties: { contentType: 'text' } })
  t.match(await second.next('PUBLISH'), { topicName: 'b', packetId: 2, dup: false })
  second.ack('PUBACK', 1, 0, 2)
  await fresh
  await settle()
  t.same((await outbox.load()).entries, [])
})

t.test('a publish made while offline waits and goes out after the next CONNACK', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const first = await broker.at(0)
  first.drop()
  await settle()
  t.equal(client.state.name, 'reconnecting')
  const published = client.publish('a', '', { qos: 1 })
  broker.answer = () => ({ sessionPresent: true })
  const second = await broker.comesBack(1)
  t.same(await second.sent(), ['PUBLISH a id=1'])
  second.ack('PUBACK', 1)
  await published
})

t.test("the broker's Receive Maximum bounds what is in flight", async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ properties: { receiveMaximum: 2 } })
  const client = await broker.open({ clientId: 'c' })
  const first = await broker.at(0)
  const all = ['a', 'b', 'c', 'd'].map((topicName) => client.publish(topicName, '', { qos: 1 }))
  t.same(await first.sent(), ['PUBLISH a id=1', 'PUBLISH b id=2'])
  first.ack('PUBACK', 1)
  t.same(await first.sent(), ['PUBLISH c id=3'])
  first.drop()
  broker.answer = () => ({ sessionPresent: true, properties: { receiveMaximum: 1 } })
  const second = await broker.comesBack(1)
  t.same(await second.sent(), ['PUBLISH b id=2 dup'])
  second.ack('PUBACK', 2)
  t.same(await second.sent(), ['PUBLISH c id=3 dup'])
  second.ack('PUBACK', 3)
  t.same(await second.sent(), ['PUBLISH d id=4'])
  second.ack('PUBACK', 4)
  await Promise.all(all)
})

t.test('a ranged PUBACK counts over 65535 to 1', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ publishQueueMessagesMax: 3 })
  const connection = await broker.at(0)
  for (let packetId = 1; packetId <= 65_534; packetId += 1) {
    const published = client.publish('a', '', { qos: 1 })
    await Promise.resolve()
    connection.packets.length = 0
    connection.ack('PUBACK', packetId)
    await published
  }
  const around = ['x', 'y', 'z'].map((topicName) => client.publish(topicName, '', { qos: 1 }))
  t.same(await connection.sent(), ['PUBLISH x id=65535', 'PUBLISH y id=1', 'PUBLISH z id=2'])
  await t.rejects(client.publish('a', '', { qos: 1 }), { code: 'OUTBOX_FULL', retryable: true })
  connection.ack('PUBACK', 65_535, 0, 2)
  await Promise.all(around)
})

t.test('an abort withdraws what was not sent, and only abandons what was', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ properties: { receiveMaximum: 1 } })
  const client = await broker.open()
  const connection = await broker.at(0)
  const sent = new AbortController()
  const waiting = new AbortController()
  const first = client.publish('a', '', { qos: 1, signal: sent.signal })
  const second = client.publish('b', '', { qos: 1, signal: waiting.signal })
  const third = client.publish('c', '', { qos: 1 })
  t.same(await connection.sent(), ['PUBLISH a id=1'])
  sent.abort()
  waiting.abort()
  await t.rejects(first, { code: 'ABORTED' })
  await t.rejects(second, { code: 'ABORTED' })
  connection.ack('PUBACK', 1)
  t.same(await connection.sent(), ['PUBLISH c id=3'])
  connection.ack('PUBACK', 3)
  await third
  await t.rejects(client.publish('d', '', { qos: 1, signal: sent.signal }), { code: 'ABORTED' })
})

t.test('a store that fails ends the client, and every publish with it', async (t) => {
  const broker = new ScriptedBroker()
  const outbox = { ...openMemoryOutbox(), commit: () => Promise.reject(new Error('disk full')) }
  const client = await broker.open({ clientId: 'c', outbox })
  const published = client.publish('a', '', { qos: 1 })
  await t.rejects(Promise.all([client.stored(), published]), { code: 'OUTBOX_FAILED' })
  await t.rejects(published, { code: 'OUTBOX_FAILED' })
  await t.rejects(client.stored(), { code: 'OUTBOX_FAILED' })
  t.match(client.state, { name: 'closed', reason: { kind: 'failed', error: { code: 'OUTBOX_FAILED' } } })
})
