/** QoS 2 out: the connection ends, or the process does, after every step. */
import t from 'tap'
import type { OutboxStore } from '../../../src/client/outbox.js'
import { openMemoryOutbox } from '../../../src/client/outbox-memory.js'
import type { TallyError } from '../../../src/client/tally-error.js'
import { ScriptedBroker, settle, stateOf } from '../../support/client-script.js'

const PRESENT = () => ({ sessionPresent: true })

t.test('a QoS 2 publish resolves with its PUBCOMP and not earlier', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  const published = client.publish('a', '', { qos: 2 })
  t.same(await connection.sent(), ['PUBLISH a id=1'])
  connection.ack('PUBREC', 1)
  t.same(await connection.sent(), ['PUBREL 1'])
  t.equal(await stateOf(published), 'pending')
  connection.ack('PUBCOMP', 1)
  t.match(await published, { qos: 2, reasonCode: 0 })
})

t.test('a PUBREC with a failure rejects, and no PUBREL follows', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  const published = client.publish('a', '', { qos: 2 })
  await connection.next('PUBLISH')
  connection.ack('PUBREC', 1, 0x87)
  await t.rejects(published, { code: 'PUBLISH_REFUSED', reasonCode: 0x87, retryable: false })
  t.same(await connection.sent(), [])
})

t.test('ranged PUBREC and PUBCOMP; PUBRELs leave as one range', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  const all = ['a', 'b', 'c'].map((topicName) => client.publish(topicName, '', { qos: 2 }))
  await connection.sent()
  connection.ack('PUBREC', 1, 0, 3)
  t.same(await connection.sent(), ['PUBREL 1..3'])
  connection.ack('PUBCOMP', 1, 0, 3)
  await Promise.all(all)
  t.equal(client.unfinishedPublishes, 0)
})

t.test('lost before PUBREC: PUBLISH again with DUP', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const first = await broker.at(0)
  const published = client.publish('a', '', { qos: 2 })
  await first.next('PUBLISH')
  first.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  t.same(await second.sent(), ['PUBLISH a id=1 dup'])
  second.ack('PUBREC', 1)
  t.same(await second.sent(), ['PUBREL 1'])
  second.ack('PUBCOMP', 1)
  await published
})

t.test(
  'lost after PUBREC: PUBREL again, never PUBLISH; PUBRELs come first and in the order of the PUBRECs',
  async (t) => {
    const broker = new ScriptedBroker()
    const client = await broker.open({ clientId: 'c' })
    const first = await broker.at(0)
    const all = ['a', 'b', 'c', 'd'].map((topicName) => client.publish(topicName, '', { qos: 2 }))
    await first.sent()
    first.ack('PUBREC', 4)
    first.ack('PUBREC', 2)
    await first.sent()
    first.drop()
    broker.answer = PRESENT
    const second = await broker.comesBack(1)
    t.same(await second.sent(), ['PUBREL 4', 'PUBREL 2', 'PUBLISH a id=1 dup', 'PUBLISH c id=3 dup'])
    second.ack('PUBCOMP', 4)
    // The broker had finished this one before.
    second.ack('PUBCOMP', 2, 0x92)
    second.ack('PUBREC', 1)
    second.ack('PUBREC', 3)
    await second.sent()
    second.ack('PUBCOMP', 1)
    second.ack('PUBCOMP', 3)
    await Promise.all(all)
  },
)

t.test('lost before PUBCOMP twice: PUBREL each time', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const published = client.publish('a', '', { qos: 2 })
  const first = await broker.at(0)
  await first.next('PUBLISH')
  first.ack('PUBREC', 1)
  broker.answer = PRESENT
  first.drop()
  for (const index of [1, 2]) {
    const next = await broker.comesBack(index)
    t.same(await next.sent(), ['PUBREL 1'])
    if (index === 1) next.drop()
    else next.ack('PUBCOMP', 1)
  }
  await published
})

t.test('session gone: what had its PUBREC counts as delivered, the rest is sent anew and reported', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open({ clientId: 'c' })
  const errors: TallyError[] = []
  client.on('error', (error) => void errors.push(error))
  const first = await broker.at(0)
  const recorded = client.publish('a', '', { qos: 2 })
  const open = client.publish('b', '', { qos: 2 })
  await first.sent()
  first.ack('PUBREC', 1)
  first.drop()
  const second = await broker.comesBack(1)
  t.same(await second.sent(), ['PUBLISH b id=2'])
  t.match(await recorded, { qos: 2, reasonCode: 0 })
  t.match(errors, [{ code: 'SESSION_LOST', message: /1 QoS 2 publishes were sent anew/ }])
  second.ack('PUBREC', 2)
  await second.sent()
  second.ack('PUBCOMP', 2)
  await open
})

t.test('what waits for PUBCOMP counts against the Receive Maximum, also on the next connection', async (t) => {
  const broker = new ScriptedBroker()
  broker.answer = () => ({ properties: { receiveMaximum: 1 } })
  const client = await broker.open({ clientId: 'c' })
  const first = await broker.at(0)
  const all = [client.publish('a', '', { qos: 2 }), client.publish('b', '', { qos: 1 })]
  t.same(await first.sent(), ['PUBLISH a id=1'])
  first.ack('PUBREC', 1)
  t.same(await first.sent(), ['PUBREL 1'])
  first.drop()
  broker.answer = () => ({ sessionPresent: true, properties: { receiveMaximum: 1 } })
  const second = await broker.comesBack(1)
  t.same(await second.sent(), ['PUBREL 1'])
  second.ack('PUBCOMP', 1)
  t.same(await second.sent(), ['PUBLISH b id=2'])
  second.ack('PUBACK', 2)
  await Promise.all(all)
})

t.test('a repeated PUBREC is answered with PUBREL again, an unknown one with 0x92', async (t) => {
  const broker = new ScriptedBroker()
  const client = await broker.open()
  const connection = await broker.at(0)
  const published = client.publish('a', '', { qos: 2 })
  await connection.sent()
  connection.ack('PUBREC', 1)
  connection.ack('PUBREC', 1)
  connection.ack('PUBREC', 77)
  t.same(await connection.sent(), ['PUBREL 1', 'PUBREL 1', 'PUBREL 77 0x92'])
  connection.ack('PUBCOMP', 1)
  await published
})

t.test('with an outbox PUBREL leaves only when PUBREC is stored', async (t) => {
  const broker = new ScriptedBroker()
  const { outbox, commit } = heldOutbox()
  const client = await broker.open({ clientId: 'c', outbox })
  const connection = await broker.at(0)
  const published = client.publish('a', '', { qos: 2 })
  await commit()
  await connection.next('PUBLISH')
  connection.ack('PUBREC', 1)
  t.same(await connection.sent(), [])
  await commit()
  t.same(await connection.sent(), ['PUBREL 1'])
  connection.ack('PUBCOMP', 1)
  await published
})

t.test('PUBREC is being stored when the connection goes: the next connection gets the PUBREL, once', async (t) => {
  const broker = new ScriptedBroker()
  const { outbox, commit } = heldOutbox()
  const client = await broker.open({ clientId: 'c', outbox })
  const first = await broker.at(0)
  const published = client.publish('a', '', { qos: 2 })
  await commit()
  await first.next('PUBLISH')
  first.ack('PUBREC', 1)
  first.drop()
  broker.answer = PRESENT
  const second = await broker.comesBack(1)
  t.same(await second.sent(), [])
  await commit()
  t.same(await second.sent(), ['PUBREL 1'])
  second.ack('PUBCOMP', 1)
  await published
})

for (const step of ['PUBLISH', 'PUBREC', 'PUBREL'] as const) {
  t.test(`the process dies after ${step}: the next one goes on where it was`, async (t) => {
    const outbox = openMemoryOutbox()
    const broker = new ScriptedBroker()
    const before = await broker.open({ clientId: 'c', outbox, reconnect: false })
    const first = await broker.at(0)
    const lost = before.publish('a', '', { qos: 2 })
    await first.next('PUBLISH')
    if (step !== 'PUBLISH') first.ack('PUBREC', 1)
    if (step === 'PUBREL') await first.next('PUBREL')
    await settle()
    first.drop()
    await t.rejects(lost, { code: 'CONNECTION_LOST' })

    broker.answer = PRESENT
    const after = await broker.open({ clientId: 'c', outbox })
    const second = await broker.at(1)
    t.same(await second.sent(), [step === 'PUBLISH' ? 'PUBLISH a id=1 dup' : 'PUBREL 1'])
    t.equal(after.unfinishedPublishes, 1)
    if (step === 'PUBLISH') {
      second.ack('PUBREC', 1)
      await second.next('PUBREL')
    }
    second.ack('PUBCOMP', 1)
    await settle()
    t.equal(after.unfinishedPublishes, 0)
    t.same((await outbox.load()).entries, [])
    const next = after.publish('b', '', { qos: 2 })
    t.match(await second.next('PUBLISH'), { topicName: 'b', dup: false })
    await t.rejects(Promise.all([next, after.close()]), { code: 'CLOSED' })
  })
}

/** An outbox whose commits wait for the test. */
function heldOutbox(): { outbox: OutboxStore; commit: () => Promise<void> } {
  const memory = openMemoryOutbox()
  const waiting: (() => void)[] = []
  const outbox: OutboxStore = {
    ...memory,
    commit: async (changes) => {
      await new Promise<void>((resolve) => waiting.push(resolve))
      await memory.commit(changes)
    },
  }
  const commit = async () => {
    await settle()
    waiting.shift()?.()
    await settle()
  }
  return { outbox, commit }
}
