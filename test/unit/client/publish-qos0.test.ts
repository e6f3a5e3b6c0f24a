/** QoS 0: one write per turn, one promise per turn, and back-pressure. */
import t from 'tap'
import { PacketType } from '../../../src/protocol/packets.js'
import { ScriptedBroker, settle, stateOf } from '../../support/client-script.js'

t.test('everything of a turn leaves in one write, and resolves then', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  const before = connection.writes
  const all = ['a', 'b', 'c'].map((topicName) => client.publish(topicName, topicName))
  t.equal(all[0], all[2], 'one promise for the turn')
  t.equal(client.publishNow('d', new Uint8Array([1]), { retain: true, properties: { contentType: 'x' } }), true)
  t.same(await Promise.all(all), Array(3).fill({ qos: 0, reasonCode: 0, properties: null }))
  t.equal(connection.writes, before + 1)
  t.equal(connection.packets.length, 4)
  t.match(connection.packets[3], { topicName: 'd', qos: 0, retain: true, properties: { contentType: 'x' } })
  t.not(client.publish('e', ''), all[0])
})

t.test('a full buffer: publishNow says no, publish and drained wait', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ outputBufferBytesMax: 100 })
  const connection = await broker.at(0)
  connection.bufferedBytes = 101
  t.equal(client.publishNow('a', ''), false)
  t.equal(client.bufferedBytes, 101)
  const published = client.publish('b', '')
  const drained = client.drained()
  t.equal(await stateOf(published), 'pending')
  t.equal(await stateOf(drained), 'pending')
  const abandoned = new AbortController()
  const waiting = client.drained({ signal: abandoned.signal })
  abandoned.abort()
  await t.rejects(waiting, { code: 'ABORTED' })
  connection.drained()
  await published
  await drained
  await client.drained()
  t.equal(client.publishNow('c', ''), true)
})

t.test('a full buffer holds QoS 1 back too, until there is room', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ outputBufferBytesMax: 100 })
  const connection = await broker.at(0)
  connection.bufferedBytes = 101
  const published = client.publish('a', '', { qos: 1 })
  t.same(await connection.sent(), [])
  connection.drained()
  t.same(await connection.sent(), ['PUBLISH a id=1'])
  connection.ack('PUBACK', 1)
  await published
})

t.test('without a connection QoS 0 is not kept', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  connection.bufferedBytes = 2 ** 30
  const unwritten = client.publish('a', '')
  await settle()
  connection.drop()
  await t.rejects(unwritten, { code: 'CONNECTION_LOST', retryable: true })
  t.equal(client.publishNow('a', ''), false)
  t.equal(client.bufferedBytes, 0)
  await t.rejects(client.publish('a', ''), { code: 'NOT_CONNECTED', retryable: true })
})

t.test('what cannot be published is refused with what to change', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ properties: { maximumQoS: 1, retainAvailable: 0, maximumPacketSize: 60 } })
  const client = await broker.open()
  const connection = await broker.at(0)
  await t.rejects(client.publish('a/#', ''), { code: 'INVALID_ARGUMENT', message: /wildcard/ })
  await t.rejects(client.publish('', ''), { code: 'INVALID_ARGUMENT' })
  await t.rejects(client.publish('a', '', { properties: { topicAlias: 1 } }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(client.publish('a', '', { qos: 2 }), { code: 'PUBLISH_REFUSED', reasonCode: 0x9b })
  await t.rejects(client.publish('a', '', { retain: true }), { code: 'PUBLISH_REFUSED', reasonCode: 0x9a })
  await t.rejects(client.publish('a', new Uint8Array(60), { qos: 1 }), { code: 'PUBLISH_REFUSED', reasonCode: 0x95 })
  t.throws(() => client.publishNow('a', new Uint8Array(60)), { code: 'PUBLISH_REFUSED' })
  t.equal(client.unfinishedPublishes, 0)
  await client.publish('a', new Uint8Array(50))
  t.match(await connection.next('PUBLISH'), { type: PacketType.PUBLISH, topicName: 'a' })
})
