/** The turn and the connection together: what leaves when, with how many writes, and what a failing disk does. */
import t from 'tap'
import { TICK_MS } from '../../../src/server/heartbeat.js'
import { StoreError } from '../../../src/core/ports/store.js'
import type { Delivery } from '../../../src/protocol/codec.js'
import { PacketType } from '../../../src/protocol/packets.js'
import { CONNECT, PINGREQ, Rig } from '../../support/ws-rig.js'

const PINGRESP = { type: PacketType.PINGRESP } as const
const PINGRESP_BYTES = 'd000'
const CONNACK = { type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0, properties: {} } as const
const CONNACK_BYTES = '2003000000'
const puback = (packetId: number) => `4002${packetId.toString(16).padStart(4, '0')}`

t.test('what many packets of one read cause leaves in one write per connection', async (t) => {
  const rig = new Rig()
  const [one, other] = [rig.open(), rig.open()]
  rig.core.onPacket = () => {
    one.client.link.send(PINGRESP)
    other.client.link.send(PINGRESP)
  }
  one.connection.received(Buffer.concat(Array.from({ length: 50 }, () => PINGREQ)))
  t.same([one.socket.writes.length, other.socket.writes.length], [0, 0], 'nothing leaves before the end of the turn')
  rig.turn()
  t.same([one.socket.writes.length, other.socket.writes.length], [1, 1])
  t.equal(one.socket.takeWritten().toString('hex'), PINGRESP_BYTES.repeat(50))
})

t.test('an acknowledgement waits for the commit of what it promises', async (t) => {
  const rig = new Rig()
  const { client, socket } = rig.open()
  rig.core.append()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 1, 0)
  client.link.send(PINGRESP)
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), PINGRESP_BYTES, 'what promises nothing does not wait')

  rig.core.append()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 2, 0)
  rig.settle()
  t.equal(rig.store.pendingCommits, 1, 'one commit at a time; the next one collects')
  t.same(socket.writes, [])

  rig.store.settleNext()
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), puback(1), 'only the first is durable')
  t.equal(rig.store.pendingCommits, 1, 'the next commit started at once')
  rig.store.settleNext()
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), puback(2))
  t.equal(rig.core.committedCount, 2)
})

t.test('what has nothing to wait for leaves at the end of the turn, or with the commit under way', async (t) => {
  const rig = new Rig()
  const { client, socket } = rig.open()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 1, 0)
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), puback(1), 'the journal is empty: no commit')

  rig.core.append()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 2, 0)
  rig.settle()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 3, 0)
  rig.settle()
  t.same(socket.writes, [], 'what 3 rests on may be in the record that is in flight')
  rig.store.settleNext()
  rig.settle()
  t.equal(socket.writes.length, 1)
  t.equal(socket.takeWritten().toString('hex'), puback(2) + puback(3))
})

t.test('nothing overtakes a CONNACK that waits for its commit', async (t) => {
  const rig = new Rig()
  const { client, socket, connection } = rig.open({ isConnected: false })
  connection.received(CONNECT)
  rig.core.append()
  client.link.sendAfterCommit(CONNACK)
  client.link.send(PINGRESP)
  rig.settle()
  client.link.send(PINGRESP)
  rig.settle()
  t.same(socket.writes, [])
  rig.store.settleNext()
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), CONNACK_BYTES + PINGRESP_BYTES.repeat(2))
  client.link.send(PINGRESP)
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), PINGRESP_BYTES, 'then the barrier is gone')
})

t.test('a close sends what leaves now and drops what waits for a commit', async (t) => {
  const rig = new Rig()
  const { client, socket } = rig.open()
  rig.core.append()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 1, 0)
  client.link.send(PINGRESP)
  client.link.close(0x8e, 'taken over')
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), PINGRESP_BYTES)
  t.same(socket.ended, { closeCode: 3510, detail: 'taken over' })
  rig.store.settleNext()
  rig.settle()
  t.same(socket.writes, [])
  t.same(rig.core.log, [], 'the core asked for it and is not told')
})

t.test('a close behind a CONNACK that waits for its commit waits too', async (t) => {
  const rig = new Rig()
  const { client, socket, connection } = rig.open({ isConnected: false })
  connection.received(CONNECT)
  rig.core.append()
  client.link.sendAfterCommit(CONNACK)
  client.link.send({ type: PacketType.DISCONNECT, reasonCode: 0x82, properties: null })
  client.link.close(0x82, 'a second CONNECT')
  rig.settle()
  t.same([socket.writes.length, socket.ended], [0, null])
  rig.store.settleNext()
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), `${CONNACK_BYTES}e00182`)
  t.equal(socket.ended?.closeCode, 3501)
})

t.test('when a commit fails nothing is acknowledged, clients are told, and it is reported once', async (t) => {
  const rig = new Rig()
  const { client, socket } = rig.open()
  const waiting = rig.open({ isConnected: false })
  rig.core.append()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 1, 0)
  waiting.connection.received(CONNECT)
  waiting.client.link.sendAfterCommit(CONNACK)
  rig.settle()
  rig.core.append()
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 2, 0)
  rig.store.settleNext(new StoreError('STORE_FULL', 'no space left'))
  rig.settle()
  t.equal(socket.takeWritten().toString('hex'), 'e00183', 'DISCONNECT 0x83 and no PUBACK')
  t.equal(socket.ended?.closeCode, 3004)
  t.equal(waiting.socket.takeWritten().toString('hex'), '2003008800', 'CONNACK 0x88')
  t.same(
    rig.failures.map((error) => error.message),
    ['no space left'],
  )
  t.equal(rig.shell.state, 'failed')
  t.match(rig.shell.unreadiness(), /stopping/)
  client.link.acknowledgeAfterCommit(PacketType.PUBACK, 3, 0)
  rig.settle()
  t.same(socket.writes, [])
})

t.test('an exception in the core stops the broker', async (t) => {
  const rig = new Rig()
  const { connection, socket } = rig.open()
  rig.core.onPacket = () => {
    throw new TypeError('a bug')
  }
  connection.received(PINGREQ)
  t.same(
    rig.failures.map((error) => error.message),
    ['a bug'],
  )
  t.equal(socket.takeWritten().toString('hex'), 'e00183')
})

t.test('bytes that are no packets close their own connection only', async (t) => {
  const rig = new Rig()
  const { connection, socket } = rig.open()
  const other = rig.open()
  connection.received(Uint8Array.of(0xf1, 0x00))
  rig.settle()
  t.same(rig.core.log, ['protocol-error 0x81'])
  t.equal(socket.ended?.closeCode, 3501)
  t.equal(other.socket.ended, null)
  t.same(rig.failures, [])
  connection.received(PINGREQ)
  t.same(rig.core.received, [], 'nothing more is read from it')
})

t.test('a full buffer is reported as drained once half of it is free', async (t) => {
  const rig = new Rig({ outputBufferBytesMax: 1_000 })
  const { client, socket, connection } = rig.open()
  socket.takesBytes = false
  for (let index = 0; index < 600; index += 1) client.link.send(PINGRESP)
  t.equal(client.link.bufferedBytes, 1_200)
  rig.settle()
  t.equal(client.link.bufferedBytes, 1_200, 'written, but not taken')
  t.same(rig.core.log, [])
  socket.pendingBytes = 600
  connection.drained()
  rig.settle()
  t.same(rig.core.log, [], 'not yet below half')
  socket.pendingBytes = 0
  connection.drained()
  rig.settle()
  t.same(rig.core.log, ['drained'])
  connection.drained()
  rig.settle()
  t.same(rig.core.log, ['drained'], 'once')
})

t.test('whoever saw a full buffer within a turn is told as well', async (t) => {
  const rig = new Rig({ outputBufferBytesMax: 1_000 })
  const { client } = rig.open()
  for (let index = 0; index < 600; index += 1) client.link.send(PINGRESP)
  t.ok(client.link.bufferedBytes > 1_000)
  rig.settle()
  t.same(rig.core.log, ['drained'])
})

t.test(
  'a flood of deliveries within one turn leaves in pieces, so that a fast reader is never called slow',
  async (t) => {
    const rig = new Rig({ outputBufferBytesMax: 100_000 })
    const { client, socket } = rig.open()
    const publication = { topicName: 'a', payload: new Uint8Array(1_000), properties: null, messageId: 0, wire: null }
    const delivery: Delivery = {
      qos: 0,
      retain: false,
      dup: false,
      packetId: 0,
      deliverySequence: 0,
      subscriptionIdentifiers: null,
      messageExpiryIntervalSec: -1,
      topicAlias: 0,
      omitTopicName: false,
      maximumPacketSize: Number.POSITIVE_INFINITY,
    }
    for (let index = 0; index < 1_000; index += 1) {
      client.link.deliver(publication, delivery)
      if (client.link.bufferedBytes > 26_000) t.fail(`${client.link.bufferedBytes} bytes wait`)
    }
    rig.settle()
    t.ok(socket.writes.length <= 41, `${socket.writes.length} writes`)
    t.ok(socket.takenBytes > 1_000_000)
  },
)

t.test('packets read behind a CONNECT that is being authenticated wait, in order', async (t) => {
  const rig = new Rig()
  const { client, connection, socket } = rig.open({ isConnected: false })
  rig.core.onPacket = (self, packet) => {
    if (packet.type !== PacketType.CONNECT) return
    self.state = 'authenticating'
    self.link.pauseReading()
  }
  const subscribe = (packetId: number) => Uint8Array.from([0x82, 7, 0, packetId, 0, 0, 1, 97, 0])
  connection.received(Buffer.concat([CONNECT, subscribe(1), subscribe(2)]))
  connection.received(subscribe(3))
  rig.settle()
  t.equal(rig.core.received.length, 1)
  t.equal(socket.isReading, false)
  client.state = 'connected'
  client.link.resumeReading()
  t.equal(rig.core.received.length, 1, 'not from inside the core')
  rig.settle()
  t.same(
    rig.core.received.slice(1).map((packet) => 'packetId' in packet && packet.packetId),
    [1, 2, 3],
  )
  t.ok(socket.isReading)
  t.ok(socket.isConnectAccepted)
})

t.test('who publishes faster than the disk writes is not read until there is room', async (t) => {
  const rig = new Rig()
  const [publisher, other] = [rig.open(), rig.open()]
  rig.core.onPacket = () => rig.core.append(20 * 1_048_576)
  publisher.connection.received(PINGREQ)
  t.equal(publisher.socket.isReading, false)
  t.ok(other.socket.isReading, 'others are read until they send')
  rig.settle()
  t.equal(publisher.socket.isReading, false, 'in flight counts')
  rig.store.settleNext()
  rig.settle()
  t.ok(publisher.socket.isReading)
})

t.test('time and background work of the core run in the turn', async (t) => {
  const rig = new Rig()
  rig.core.dueMs = rig.timers.nowMs() + 500
  rig.shell.start()
  rig.pass(450)
  t.same(rig.core.log, [])
  rig.pass(50 + TICK_MS)
  t.same(rig.core.log, ['timeout'])
  rig.shell.stop()
})

t.test('background work goes on in slices while the turn has time, behind what the turn has to send', async (t) => {
  const rig = new Rig()
  const { client, socket } = rig.open()
  const sent: number[] = []
  rig.core.onWork = () => {
    rig.timers.advance(1)
    sent.push(socket.writes.length)
    client.link.send(PINGRESP)
    return true
  }
  client.link.send(PINGRESP)
  rig.turn()
  t.same(sent, [0, 1], 'the first slice joins the flush, the second follows it, a third would take too long')
  t.equal(socket.takeWritten().toString('hex'), PINGRESP_BYTES.repeat(2))
  rig.core.onWork = () => false
  rig.turn()
  t.equal(socket.takeWritten().toString('hex'), PINGRESP_BYTES, 'what the second slice had to send')
})

t.test('what a later slice stores is committed without anybody else asking for a turn', async (t) => {
  const rig = new Rig()
  let slices = 0
  rig.core.onWork = () => {
    slices += 1
    rig.core.append()
    return slices < 2
  }
  rig.shell.turn.schedule()
  rig.turn()
  t.same([slices, rig.store.pendingCommits], [2, 1])
  rig.store.settleNext()
  rig.core.onWork = () => false
  rig.settle()
  rig.store.settleNext()
  t.equal(rig.core.committedCount, 2)
})

t.test('where time stands still a turn ends all the same', async (t) => {
  const rig = new Rig()
  let slices = 0
  rig.core.onWork = () => {
    slices += 1
    return true
  }
  rig.shell.turn.schedule()
  rig.turn()
  t.ok(slices > 1 && slices < 100, `${slices} slices`)
})

t.test('no connection comes in above the limit', async (t) => {
  const rig = new Rig({ connectionsMax: 2 })
  const { connection } = rig.open()
  rig.open()
  t.match(rig.shell.unreadiness(), /too many connections/)
  connection.closed('gone')
  t.equal(rig.shell.unreadiness(), null)
  t.same(rig.core.log, ['closed: gone'])
})
