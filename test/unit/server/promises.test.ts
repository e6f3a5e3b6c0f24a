/** What a power cut would take now: 0 while acknowledgements wait for the flush, more as soon as one does not. */
import t from 'tap'
import { StoreError } from '../../../src/core/ports/store.js'
import { PacketType } from '../../../src/protocol/packets.js'
import { Promises } from '../../../src/server/promises.js'
import { Rig } from '../../support/ws-rig.js'

/** `count` publications are in the open record, and their PUBACKs wait for it. */
function acknowledge(rig: Rig, count = 1) {
  const peer = rig.open()
  rig.core.append()
  for (let id = 1; id <= count; id += 1) peer.client.link.acknowledgeAfterCommit(PacketType.PUBACK, id, 0)
  return peer
}

t.test('acknowledgements that wait for the flush: 0, at every point', async (t) => {
  const rig = new Rig()
  acknowledge(rig, 3)
  t.equal(rig.shell.promises.unflushed, 0)
  rig.settle()
  t.equal(rig.shell.promises.unflushed, 0, 'handed over')
  acknowledge(rig, 2)
  rig.store.settleNext()
  t.equal(rig.shell.promises.unflushed, 0, 'the first has left, the second is under way')
  rig.settle()
  rig.store.settleNext()
  rig.settle()
  t.equal(rig.shell.promises.unflushed, 0)
})

t.test('what rests on nothing new leaves at once, and nothing can be lost of it', async (t) => {
  const rig = new Rig()
  const { client, socket } = rig.open()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 1, 0)
  rig.settle()
  t.equal(socket.writes.length, 1)
  t.equal(rig.shell.promises.unflushed, 0)
})

t.test('let go when the commit has been handed over, before it is done: counted until it is', async (t) => {
  const rig = new Rig()
  const { connection } = acknowledge(rig, 3)
  rig.settle()
  connection.releaseSealed()
  t.equal(rig.shell.promises.unflushed, 3)
  rig.store.settleNext()
  t.equal(rig.shell.promises.unflushed, 0, 'now it is so')
})

t.test('let go while the record is being filled', async (t) => {
  const rig = new Rig()
  const { connection } = acknowledge(rig, 2)
  connection.releaseOpen()
  t.equal(rig.shell.promises.unflushed, 2)
  rig.settle()
  t.equal(rig.shell.promises.unflushed, 2, 'handed over is not done')
  rig.store.settleNext()
  t.equal(rig.shell.promises.unflushed, 0)
})

t.test('a core that does not wait at all', async (t) => {
  const rig = new Rig()
  const { client } = rig.open()
  rig.core.append()
  client.link.send({ type: PacketType.PUBREC, packetId: 1, reasonCode: 0, properties: null })
  client.link.send({ type: PacketType.PUBREC, packetId: 2, reasonCode: 0x97, properties: null })
  t.equal(rig.shell.promises.unflushed, 1, 'a refusal promises nothing')
})

t.test('a commit that fails: what waited for it never leaves, what did not stays counted', async (t) => {
  const rig = new Rig()
  const early = acknowledge(rig, 1)
  acknowledge(rig, 4)
  rig.settle()
  early.connection.releaseSealed()
  rig.store.settleNext(new StoreError('STORE_IO', 'the disk refuses'))
  rig.settle()
  t.equal(rig.shell.promises.unflushed, 1)
})

t.test('a producer is told of many messages at once; a peer that is gone is told nothing', async (t) => {
  const rig = new Rig()
  const { client, connection } = rig.open()
  rig.core.append()
  const produced = { type: PacketType.PUBACK, packetId: 1, reasonCode: 0, properties: null } as const
  client.link.sendAfterCommit(produced, 50)
  connection.releaseOpen()
  t.equal(rig.shell.promises.unflushed, 50)
  const other = acknowledge(rig, 7)
  other.connection.closed('gone')
  rig.settle()
  other.connection.releaseSealed()
  t.equal(rig.shell.promises.unflushed, 50)
})

t.test('without flushing every acknowledged message counts, and stays', async (t) => {
  for (const durability of ['os', 'memory'] as const) {
    const rig = new Rig({}, durability)
    acknowledge(rig, 3)
    rig.settle()
    t.equal(rig.shell.promises.unflushed, 0, 'not acknowledged yet')
    rig.store.settleNext()
    rig.settle()
    t.equal(rig.shell.promises.unflushed, 3)
    acknowledge(rig, 2)
    rig.settle()
    rig.store.settleNext()
    t.equal(rig.shell.promises.unflushed, 5)
  }
})

t.test('several commits may have let go of something', async (t) => {
  const promises = new Promises('flush')
  promises.handedOver()
  promises.released(1, 1)
  promises.released(2, 2)
  promises.released(4, 2)
  promises.handedOver()
  t.equal(promises.unflushed, 7)
  promises.reported()
  t.equal(promises.unflushed, 6)
  promises.reported()
  t.equal(promises.unflushed, 0)
})
