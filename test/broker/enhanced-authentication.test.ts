/** AUTH: SCRAM-SHA-256 from CONNECT to CONNACK and again on a live connection, and every way to break off [v5 4.12]. */
import t from 'tap'
import { StaticRules } from '../../src/auth/static-rules.js'
import type { Access, AuthenticationStep } from '../../src/core/ports/access.js'
import { type AuthPacket, type ConnackProperties, type Packet, PacketType } from '../../src/protocol/packets.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ScramClient, scramCredential } from '../support/scram-client.js'
import { ALLOW_ALL, type TestBroker, testBroker, type TestClient } from '../support/test-broker.js'

const METHOD = 'SCRAM-SHA-256'
const rules = new StaticRules({
  users: [
    { username: 'anna', scramSha256: scramCredential('pencil') },
    { username: 'otto', scramSha256: scramCredential('rubber') },
  ],
  rules: [{ action: 'all', topicFilter: '#', effect: 'allow' }],
})

function auth(reasonCode: number, authenticationData?: Uint8Array, authenticationMethod = METHOD): AuthPacket {
  const data = authenticationData === undefined ? {} : { authenticationData }
  return { type: PacketType.AUTH, reasonCode, properties: { authenticationMethod, ...data } }
}
const challengeOf = (client: TestClient) => client.take('AUTH')[0]?.properties.authenticationData

/** CONNECT has been sent; the challenge is there. */
function begin(host: TestBroker, scram: ScramClient, properties: { maximumPacketSize?: number } = {}): TestClient {
  return host.connect('a', {
    properties: {
      sessionExpiryIntervalSec: 60,
      authenticationMethod: METHOD,
      authenticationData: scram.first(),
      ...properties,
    },
  })
}

function connected(host: TestBroker, username = 'anna', password = 'pencil'): TestClient {
  const scram = new ScramClient(username, password)
  const client = begin(host, scram)
  client.send(auth(ReasonCode.CONTINUE_AUTHENTICATION, scram.final(challengeOf(client))))
  host.settle()
  return client
}

t.test('CONNECT, challenge, answer, CONNACK with the server’s proof; every packet names the method', async (t) => {
  const host = testBroker({ access: rules })
  const scram = new ScramClient('anna', 'pencil')
  const client = begin(host, scram)
  t.equal(host.core.sessionCount, 0)
  t.equal(host.core.openRecordBytes, 0, 'nothing is kept of a client that is not authenticated yet')
  const [challenge] = client.take('AUTH')
  t.match(challenge, { reasonCode: 0x18, properties: { authenticationMethod: METHOD } })
  client.send(auth(0x18, scram.final(challenge?.properties.authenticationData)))
  host.settle()
  const properties = client.take('CONNACK')[0]?.properties as ConnackProperties
  t.equal(properties.authenticationMethod, METHOD)
  t.ok(scram.isServerRight(properties.authenticationData))
  t.equal(client.connection.session?.username, 'anna')
  t.same(client.subscribe('t', 1).take('SUBACK')[0]?.reasonCodes, [1], 'rules apply to the user')
})

t.test('a client that sends no data with CONNECT is asked for it', async (t) => {
  const host = testBroker({ access: rules })
  const scram = new ScramClient('anna', 'pencil')
  const client = host.connect('a', { properties: { authenticationMethod: METHOD } })
  t.match(client.take('AUTH'), [auth(0x18)])
  client.send(auth(0x18, scram.first()))
  host.settle()
  client.send(auth(0x18, scram.final(challengeOf(client))))
  host.settle()
  t.equal(client.take('CONNACK')[0]?.reasonCode, 0)
})

t.test('a method that is not known: CONNACK 0x8C', async (t) => {
  for (const access of [rules, ALLOW_ALL]) {
    const host = testBroker({ access })
    const client = host.connect('a', { properties: { authenticationMethod: 'GS2-KRB5' } })
    t.match(client.link.arrived, [{ type: PacketType.CONNACK, reasonCode: 0x8c, sessionPresent: false }])
    t.equal(client.connection.state, 'closed')
  }
})

t.test('wrong password and unknown user: the same CONNACK 0x87, and no session', async (t) => {
  const answers = [
    ['anna', 'wrong'],
    ['nobody', 'pencil'],
  ].map(([username, password]) => {
    const host = testBroker({ access: rules })
    const client = connected(host, username, password)
    t.equal(host.core.sessionCount, 0)
    t.equal(client.connection.state, 'closed')
    return client.link.arrived
  })
  t.match(answers[0], [{ type: PacketType.CONNACK, reasonCode: 0x87 }])
  t.same(answers[0], answers[1])
})

t.test('what breaks the handshake is answered by CONNACK 0x82, never by DISCONNECT', async (t) => {
  const scram = new ScramClient('anna', 'pencil')
  const breaks: Record<string, (challenge: Uint8Array | undefined) => Packet> = {
    'another method': (challenge) => auth(0x18, scram.final(challenge), 'SCRAM-SHA-1'),
    'no method': () => ({ type: PacketType.AUTH, reasonCode: 0x18, properties: {} }),
    'reason code 0x19': (challenge) => auth(0x19, scram.final(challenge)),
    'reason code 0x00': (challenge) => auth(0, scram.final(challenge)),
    PINGREQ: () => ({ type: PacketType.PINGREQ }),
    PUBACK: () => ({ type: PacketType.PUBACK, packetId: 1, reasonCode: 0, properties: null }),
  }
  for (const [name, packet] of Object.entries(breaks)) {
    const host = testBroker({ access: rules })
    const client = begin(host, scram)
    client.send(packet(challengeOf(client)))
    host.settle()
    t.match(client.link.arrived, [{ type: PacketType.CONNACK, reasonCode: 0x82 }], name)
    t.equal(client.link.arrived.length, 1)
    t.equal(client.connection.state, 'closed', name)
    t.equal(host.core.sessionCount, 0, name)
  }
})

t.test('DISCONNECT during the handshake ends it without an answer, whatever expiry it names', async (t) => {
  for (const properties of [null, { sessionExpiryIntervalSec: 100 }]) {
    const host = testBroker({ access: rules })
    const client = begin(host, new ScramClient('anna', 'pencil'))
    client.take('AUTH')
    client.disconnect(0, properties)
    t.same(client.link.arrived, [])
    t.equal(client.link.closedWith?.reasonCode, 0)
    t.equal(host.core.connectionCount, 0)
  }
})

t.test('a client that stops in the middle is told when its time is over', async (t) => {
  const host = testBroker({ access: rules })
  const client = begin(host, new ScramClient('anna', 'pencil'))
  client.take('AUTH')
  host.core.connectTimedOut(client.connection, host.clock.nowMs())
  host.settle()
  t.match(client.link.arrived, [{ type: PacketType.CONNACK, reasonCode: 0x87 }])
  t.equal(host.core.connectionCount, 0)
})

t.test('a drain tells who is in the middle of the handshake', async (t) => {
  const host = testBroker({ access: rules })
  const client = begin(host, new ScramClient('anna', 'pencil'))
  client.take('AUTH')
  host.core.drain(host.clock.nowMs())
  t.match(client.link.arrived, [{ type: PacketType.CONNACK, reasonCode: 0x88 }])
})

t.test('a challenge that does not fit the Maximum Packet Size is not sent: 0x95 if that fits', async (t) => {
  const host = testBroker({ access: rules })
  const client = begin(host, new ScramClient('anna', 'pencil'), { maximumPacketSize: 80 })
  t.match(client.link.arrived, [{ type: PacketType.CONNACK, reasonCode: 0x95, properties: {} }])
  t.equal(client.connection.state, 'closed')
})

t.test('re-authentication: the connection goes on meanwhile and afterwards', async (t) => {
  const host = testBroker({ access: rules })
  const client = connected(host).subscribe('t', 0)
  client.link.arrived = []
  for (let round = 0; round < 2; round += 1) {
    const scram = new ScramClient('anna', 'pencil', `again${round}`)
    client.send(auth(0x19, scram.first()))
    client.publish('t', 'meanwhile')
    host.settle()
    const [challenge] = client.take('AUTH')
    t.equal(challenge?.reasonCode, 0x18)
    client.send(auth(0x18, scram.final(challenge?.properties.authenticationData)))
    host.settle()
    const [outcome] = client.take('AUTH')
    t.match(outcome, { reasonCode: 0, properties: { authenticationMethod: METHOD } })
    t.ok(scram.isServerRight(outcome?.properties.authenticationData))
    t.same(client.payloads(), ['meanwhile'])
  }
  t.equal(client.connection.state, 'connected')
})

t.test('a client that does not finish its re-authentication is told and let go', async (t) => {
  const host = testBroker({ access: rules })
  const client = connected(host)
  host.core.connectTimedOut(client.connection, host.clock.nowMs())
  t.equal(client.connection.state, 'connected', 'nothing is under way yet')
  client.send(auth(0x19, new ScramClient('anna', 'pencil').first()))
  host.settle()
  client.link.arrived = []
  host.core.connectTimedOut(client.connection, host.clock.nowMs())
  host.settle()
  t.match(client.link.arrived, [{ type: PacketType.DISCONNECT, reasonCode: 0x87 }])
  t.equal(client.connection.state, 'closed')
  t.equal(host.core.sessionCount, 1, 'the session waits')
})

t.test(
  'a re-authentication that fails, changes the user, or breaks the rules closes with the right code',
  async (t) => {
    const final = (username: string, password: string) => (client: TestClient) => {
      const scram = new ScramClient(username, password)
      client.send(auth(0x19, scram.first()))
      client.host.settle()
      client.send(auth(0x18, scram.final(challengeOf(client))))
    }
    const wrongs: Record<string, [number, (client: TestClient) => void]> = {
      'wrong password': [0x87, final('anna', 'wrong')],
      'another user': [0x87, final('otto', 'rubber')],
      'another method': [0x82, (client) => client.send(auth(0x19, new Uint8Array(1), 'SCRAM-SHA-1'))],
      '0x18 where nothing is under way': [0x82, (client) => client.send(auth(0x18, new Uint8Array(1)))],
      '0x00 from a client': [0x82, (client) => client.send(auth(0))],
      '0x19 twice': [
        0x82,
        (client) => client.send(auth(0x19)).send(auth(0x19, new ScramClient('anna', 'pencil').first())),
      ],
    }
    for (const [name, [reasonCode, breakIt]] of Object.entries(wrongs)) {
      const host = testBroker({ access: rules })
      const client = connected(host)
      client.link.arrived = []
      breakIt(client)
      host.settle()
      t.match(client.take('DISCONNECT'), [{ reasonCode }], name)
      t.equal(client.connection.state, 'closed', name)
      t.equal(host.core.sessionCount, 1, 'the session waits')
    }
  },
)

t.test('AUTH without a method in CONNECT is a Protocol Error', async (t) => {
  const host = testBroker()
  const client = host.connect('a')
  t.equal(client.take('CONNACK')[0]?.properties.authenticationMethod, undefined)
  client.send(auth(0x19))
  host.settle()
  t.match(client.take('DISCONNECT'), [{ reasonCode: 0x82 }])
})

/** Answers when the test says so. */
function slowAccess(): { access: Access; answer: (step: AuthenticationStep) => void } {
  const waiting: ((step: AuthenticationStep) => void)[] = []
  const step = () => new Promise<AuthenticationStep>((resolve) => waiting.push(resolve))
  return {
    access: { ...ALLOW_ALL, beginExchange: (method) => (method === METHOD ? { step } : null) },
    answer: (answered) => waiting.shift()?.(answered),
  }
}
const moment = () => new Promise<void>((resolve) => setImmediate(resolve))

t.test('a method that takes its time: nothing is read meanwhile, and each step goes on where it was', async (t) => {
  const { access, answer } = slowAccess()
  const host = testBroker({ access })
  const client = begin(host, new ScramClient('anna', 'pencil'))
  t.equal(client.link.isReading, false)
  answer({ accepted: 'continue', authenticationData: Buffer.from('what') })
  await moment()
  host.settle()
  t.equal(client.link.isReading, true)
  t.match(client.take('AUTH'), [auth(0x18, Buffer.from('what'))])
  client.send(auth(0x18, Buffer.from('this')))
  t.equal(client.link.isReading, false)
  answer({ accepted: true, username: 'anna' })
  await moment()
  host.settle()
  t.match(client.take('CONNACK'), [{ reasonCode: 0, properties: { authenticationMethod: METHOD } }])
  client.send(auth(0x19))
  client.cut()
  answer({ accepted: false, reasonCode: 0x86, detail: 'too late' })
  await moment()
  t.equal(host.failure, null, 'an answer for nobody is nothing')
})

t.test('a refusal that DISCONNECT has no code for closes a live connection with 0x87', async (t) => {
  const { access, answer } = slowAccess()
  const host = testBroker({ access })
  const client = begin(host, new ScramClient('anna', 'pencil'))
  answer({ accepted: true, username: 'anna' })
  await moment()
  host.settle()
  client.send(auth(0x19))
  answer({ accepted: false, reasonCode: ReasonCode.SERVER_UNAVAILABLE, detail: 'not now' })
  await moment()
  host.settle()
  t.match(client.take('DISCONNECT'), [{ reasonCode: 0x87, properties: { reasonString: 'not now' } }])
})
