/** Every packet type in every state of a connection: what is allowed, what the client is told, what closes. */
import t from 'tap'
import { ClientConnection, type ConnectionState } from '../../src/core/connection.js'
import { type Packet, PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ALLOW_ALL, MemoryLink, testBroker } from '../support/test-broker.js'

const ack = { packetId: 1, reasonCode: 0, properties: null }

/** One packet of each kind that a peer can put on the wire. */
function onePacketOfEach(): Record<string, Packet> {
  return {
    CONNECT: {
      type: PacketType.CONNECT,
      protocolLevel: 5,
      clientId: 'a',
      cleanStart: true,
      keepAliveSec: 0,
      properties: {},
    },
    CONNACK: { type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0, properties: {} },
    PUBLISH: {
      type: PacketType.PUBLISH,
      topicName: 't',
      payload: new Uint8Array(0),
      qos: 0,
      retain: false,
      dup: false,
      packetId: 0,
      properties: null,
    },
    PUBACK: { type: PacketType.PUBACK, ...ack },
    PUBREC: { type: PacketType.PUBREC, ...ack },
    PUBREL: { type: PacketType.PUBREL, ...ack },
    PUBCOMP: { type: PacketType.PUBCOMP, ...ack },
    SUBSCRIBE: {
      type: PacketType.SUBSCRIBE,
      packetId: 2,
      subscriptions: [{ topicFilter: 't', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: {},
    },
    SUBACK: { type: PacketType.SUBACK, packetId: 1, reasonCodes: [0], properties: null },
    UNSUBSCRIBE: { type: PacketType.UNSUBSCRIBE, packetId: 3, topicFilters: ['t'], properties: {} },
    UNSUBACK: { type: PacketType.UNSUBACK, packetId: 1, reasonCodes: [0], properties: null },
    PINGREQ: { type: PacketType.PINGREQ },
    PINGRESP: { type: PacketType.PINGRESP },
    DISCONNECT: { type: PacketType.DISCONNECT, reasonCode: 0, properties: null },
    AUTH: { type: PacketType.AUTH, reasonCode: 0x18, properties: {} },
  }
}

t.test('before CONNECT every other packet closes the connection and leaves no session', async (t) => {
  for (const [name, packet] of Object.entries(onePacketOfEach())) {
    const host = testBroker()
    const client = host.open()
    client.send(packet)
    host.settle()
    if (name === 'CONNECT') {
      t.equal(client.connection.state, 'connected', name)
      continue
    }
    t.equal(client.connection.state, 'closed', name)
    t.equal(client.link.closedWith?.reasonCode, ReasonCode.PROTOCOL_ERROR, name)
    t.equal(host.core.sessionCount, 0, name)
    t.equal(host.core.connectionCount, 0, name)
    t.equal(host.core.openRecordBytes, 0, `${name} wrote nothing`)
  }
})

t.test('while authentication is under way only DISCONNECT and AUTH are looked at, and neither connects', async (t) => {
  for (const [name, packet] of Object.entries(onePacketOfEach())) {
    const host = testBroker({ access: { ...ALLOW_ALL, authenticate: () => new Promise(() => undefined) } })
    const client = host.connect('a')
    t.equal(client.connection.state, 'authenticating')
    t.equal(client.link.isReading, false, 'what is pipelined behind CONNECT waits in the link')
    client.send(packet)
    host.settle()
    t.equal(client.connection.state, 'closed', name)
    const expected = name === 'DISCONNECT' ? ReasonCode.NORMAL_DISCONNECTION : ReasonCode.PROTOCOL_ERROR
    t.equal(client.link.closedWith?.reasonCode, expected, name)
    t.equal(host.core.sessionCount, 0, name)
  }
})

const ANSWERED: Readonly<Record<string, string>> = {
  PUBREC: 'PUBREL',
  PUBREL: 'PUBCOMP',
  SUBSCRIBE: 'SUBACK',
  UNSUBSCRIBE: 'UNSUBACK',
  PINGREQ: 'PINGRESP',
}
const SILENT = new Set(['PUBLISH', 'PUBACK', 'PUBCOMP', 'PINGRESP'])

t.test('while connected each packet of a client is answered, and each packet of a server is refused', async (t) => {
  for (const [name, packet] of Object.entries(onePacketOfEach())) {
    const host = testBroker()
    const client = host.connect('a')
    client.link.arrived = []
    client.send(packet)
    host.settle()
    const types = client.link.arrived.map(({ type }) => type)
    const answer = ANSWERED[name]
    if (answer !== undefined) t.same(types, [PacketType[answer as keyof typeof PacketType]], name)
    else if (SILENT.has(name)) t.same(types, [], name)
    else if (name === 'DISCONNECT') {
      t.same(types, [], 'DISCONNECT is not answered')
      t.equal(client.connection.state, 'closed')
      continue
    } else {
      t.same(types, [PacketType.DISCONNECT], name)
      t.equal(client.link.closedWith?.reasonCode, ReasonCode.PROTOCOL_ERROR, name)
      t.equal(client.connection.state, 'closed', name)
      continue
    }
    t.equal(client.connection.state, 'connected', name)
  }
})

t.test('after the close nothing is read any more', async (t) => {
  for (const [name, packet] of Object.entries(onePacketOfEach())) {
    const host = testBroker()
    const client = host.connect('a')
    const watcher = host.connect('watcher').subscribe('#')
    client.disconnect()
    client.link.arrived = []
    client.send(packet)
    host.settle()
    t.same(client.link.arrived, [], name)
    t.same(watcher.payloads(), [], name)
    t.equal(client.connection.state, 'closed', name)
  }
})

t.test('a connection moves along its transition table and nowhere else', async (t) => {
  const states: readonly ConnectionState[] = ['awaiting-connect', 'authenticating', 'connected', 'closed']
  const allowed = new Set([
    'awaiting-connect>authenticating',
    'awaiting-connect>closed',
    'authenticating>connected',
    'authenticating>closed',
    'connected>closed',
  ])
  const way: Readonly<Record<ConnectionState, readonly ConnectionState[]>> = {
    'awaiting-connect': [],
    authenticating: ['authenticating'],
    connected: ['authenticating', 'connected'],
    closed: ['closed'],
  }
  for (const from of states) {
    for (const to of states) {
      const connection = new ClientConnection(new MemoryLink())
      for (const step of way[from]) connection.become(step)
      if (allowed.has(`${from}>${to}`)) t.doesNotThrow(() => connection.become(to), `${from} to ${to}`)
      else t.throws(() => connection.become(to), { code: 'ASSERTION' }, `${from} to ${to}`)
    }
  }
})

t.test('a second CONNECT is a Protocol Error and the session lives on', async (t) => {
  const host = testBroker()
  const client = host.resume('a')
  const { CONNECT } = onePacketOfEach()
  client.send(CONNECT as Packet)
  host.settle()
  t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.PROTOCOL_ERROR)
  t.equal(host.resume('a').take('CONNACK')[0]?.sessionPresent, true)
})

t.test('MQTT 3.1.1 knows no DISCONNECT from the server: it is just closed', async (t) => {
  const host = testBroker()
  const client = host.connect('a', { protocolLevel: 4 })
  client.send({ type: PacketType.SUBACK, packetId: 1, reasonCodes: [0], properties: null })
  host.settle()
  t.same(client.take('DISCONNECT'), [])
  t.equal(client.link.closedWith?.reasonCode, ReasonCode.PROTOCOL_ERROR)
})

t.test('PINGREQ is answered with its own timestamp', async (t) => {
  const host = testBroker()
  const client = host.connect('a')
  client.send({ type: PacketType.PINGREQ, timestampMs: 42 })
  host.settle()
  t.same(client.take('PINGRESP'), [{ type: PacketType.PINGRESP, timestampMs: 42 }])
})

t.test('who sends no CONNECT in time is closed without a packet, who did is left alone', async (t) => {
  const host = testBroker()
  const silent = host.open()
  const client = host.connect('a')
  host.core.connectTimedOut(silent.connection, host.clock.nowMs())
  host.core.connectTimedOut(client.connection, host.clock.nowMs())
  host.settle()
  t.same(silent.link.arrived, [])
  t.equal(silent.connection.state, 'closed')
  t.equal(client.connection.state, 'connected')
  t.equal(host.core.connectionCount, 1)
})

t.test('a client silent for too long is told 0x8D and its Will is sent', async (t) => {
  const host = testBroker()
  const watcher = host.connect('watcher').subscribe('will/#')
  const client = host.connect('a', {
    keepAliveSec: 10,
    will: { topicName: 'will/a', payload: new Uint8Array(1), qos: 0, retain: false, properties: {} },
  })
  host.core.overdue(client.connection, host.clock.nowMs())
  host.settle()
  t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.KEEP_ALIVE_TIMEOUT)
  t.equal(watcher.take('PUBLISH').length, 1)
})
