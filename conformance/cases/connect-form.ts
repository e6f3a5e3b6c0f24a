/** CONNECT packets that are wrong in form: each one ends the connection, and none leaves a session behind. */
import type { Case, Context } from '../context.js'
import { expect } from '../outcome.js'
import {
  binary,
  type ConnectFields,
  connect,
  field,
  hex,
  NOT_UTF8,
  P,
  type Part,
  packet,
  u16,
  u32,
  varint,
} from '../wire/bytes.js'
import { TYPE } from '../wire/decode.js'

const MALFORMED = [0x81, 0x82]
const will = { topic: 'conformance/will', payload: 'w' }

/** A CONNECT of these flags with these fields in the payload, sent as a whole. */
async function refusesPayload(c: Context, flags: number, ...payload: ConnectFields['payload'] & object): Promise<void> {
  await c.refuses({ flags, payload }, ...MALFORMED)
}

/** Will fields as they stand in the payload. */
const willFields = (c: Context, topic: string | Uint8Array = 'conformance/w') => [
  c.isV5 ? 0 : [],
  field(topic),
  binary(Buffer.from('w')),
]

export const connectForm: readonly Case[] = [
  {
    title: 'a client identifier that is not UTF-8 is refused',
    v5: '1.5.4-1 3.1.3-4',
    v311: '1.5.3-1 3.1.3-4',
    run: async (c) => {
      for (const clientId of NOT_UTF8) await c.refuses({ clientId }, 0x81, 0x85)
    },
  },
  {
    title: 'U+0000 in the client identifier, the Will Topic or the user name is refused',
    v5: '1.5.4-2 3.1.3-4',
    v311: '1.5.3-2',
    run: async (c) => {
      await c.refuses({ clientId: hex('610062') }, 0x81, 0x85)
      await c.refuses({ will: { topic: hex('610062') } }, 0x81, 0x90)
      await c.refuses({ username: hex('610062') }, 0x81, 0x86)
    },
  },
  {
    title: 'a Will Topic that is not UTF-8 is refused',
    v5: '3.1.3-11',
    v311: '3.1.3-10',
    run: async (c) => {
      for (const topic of NOT_UTF8) await c.refuses({ will: { topic } }, 0x81, 0x90)
    },
  },
  {
    title: 'a user name that is not UTF-8 is refused',
    v5: '3.1.3-12',
    v311: '3.1.3-11',
    run: async (c) => {
      for (const username of NOT_UTF8) await c.refuses({ username, password: 'p' }, 0x81, 0x86)
    },
  },
  {
    title: 'a User Property of CONNECT whose name or value is no text is refused',
    v5: '1.5.7-1',
    run: async (c) => {
      await c.refuses({ properties: [[P.userProperty, [hex('FFFE'), 'v']]] }, 0x81)
      await c.refuses({ properties: [[P.userProperty, ['n', hex('FFFE')]]] }, 0x81)
      await c.refuses({ properties: [[P.userProperty, [hex('6100'), 'v']]] }, 0x81)
    },
  },
  {
    title: 'a wrong protocol name is not served',
    v5: '3.1.2-1',
    v311: '3.1.2-1',
    run: async (c) => {
      for (const protocolName of ['MQTX', 'mqtt', 'MQT', 'MQTTT', '']) {
        const client = await c.open()
        client.send(client.connectBytes({ clientId: c.id(), protocolName }))
        await client.closed()
        expect(
          client.waiting(TYPE.connack).every(({ code }) => code !== 0),
          `${protocolName}: accepted`,
        )
      }
    },
  },
  {
    title: 'an unknown protocol version is refused',
    v5: '3.1.2-2',
    run: async (c) => {
      for (const level of [0, 1, 2, 6, 127, 255]) {
        const client = await c.open()
        client.send(client.connectBytes({ clientId: c.id(), level }))
        await client.closed()
        expect(
          client.waiting(TYPE.connack).every(({ code }) => code !== 0),
          `version ${level}: accepted`,
        )
      }
    },
  },
  {
    title: 'an unknown protocol level is answered with return code 1, then closed',
    v311: '3.1.2-2 3.2.2-5',
    run: async (c) => {
      for (const level of [6, 127]) {
        const client = await c.open()
        client.send(client.connectBytes({ clientId: c.id(), level }))
        const connack = await client.take(TYPE.connack)
        expect(connack.code === 1, `return code ${connack.code}`)
        await client.closed()
      }
    },
  },
  {
    title: 'the reserved Connect Flag has to be 0',
    v5: '3.1.2-3',
    v311: '3.1.2-3 3.1.4-1',
    run: (c) => c.refuses({ flags: 0x03 }, 0x81),
  },
  {
    title: 'Will Flag 1 needs the Will in the payload',
    v5: '3.1.2-9',
    v311: '3.1.2-9',
    run: async (c) => {
      await refusesPayload(c, 0x06, c.id())
      await refusesPayload(c, 0x06, c.id(), c.isV5 ? 0 : [], 'conformance/w')
    },
  },
  {
    title: 'Will Flag 0 needs Will QoS 0',
    v5: '3.1.2-11',
    v311: '3.1.2-11 3.1.2-13',
    run: async (c) => {
      await c.refuses({ flags: 0x0a }, ...MALFORMED)
      await c.refuses({ flags: 0x12 }, ...MALFORMED)
    },
  },
  {
    title: 'Will QoS 3 is refused',
    v5: '3.1.2-12',
    v311: '3.1.2-14',
    run: (c) => c.refuses({ will: { ...will, qos: 3 } }, 0x81),
  },
  {
    title: 'Will Flag 0 needs Will Retain 0',
    v5: '3.1.2-13',
    v311: '3.1.2-11 3.1.2-15',
    run: (c) => c.refuses({ flags: 0x22 }, ...MALFORMED),
  },
  {
    title: 'without the User Name Flag there is no user name',
    v5: '3.1.2-16',
    v311: '3.1.2-18',
    run: (c) => refusesPayload(c, 0x02, c.id(), 'user'),
  },
  {
    title: 'with the User Name Flag there is a user name',
    v5: '3.1.2-17',
    v311: '3.1.2-19',
    run: (c) => refusesPayload(c, 0x82, c.id()),
  },
  {
    title: 'without the Password Flag there is no password',
    v5: '3.1.2-18',
    v311: '3.1.2-20',
    run: (c) => refusesPayload(c, 0x82, c.id(), 'user', 'secret'),
  },
  {
    title: 'with the Password Flag there is a password',
    v5: '3.1.2-19',
    v311: '3.1.2-21',
    run: async (c) => {
      await refusesPayload(c, 0xc2, c.id(), 'user')
      if (c.isV5) await refusesPayload(c, 0x42, c.id())
    },
  },
  {
    title: 'a password without a user name is forbidden in 3.1.1',
    v311: '3.1.2-22',
    run: (c) => refusesPayload(c, 0x42, c.id(), 'secret'),
  },
  {
    title: 'a CONNECT without a client identifier field is refused',
    v5: '3.1.3-3',
    v311: '3.1.3-3',
    run: (c) => refusesPayload(c, 0x02),
  },
  {
    title: 'payload fields in another order are not taken for the right ones',
    v5: '3.1.3-1',
    v311: '3.1.3-1',
    // The user name stands where the Will belongs: its bytes cannot be read as the Will fields.
    run: (c) => refusesPayload(c, 0x86, c.id(), hex('FFFF'), ...willFields(c)),
  },
  {
    title: 'a CONNECT that is cut short or too long is refused',
    v5: '3.1.4-1 4.13.1-1',
    v311: '3.1.4-1 4.8.0-1',
    run: async (c) => {
      await refusesPayload(c, 0x02, c.id(), hex('00'))
      await refusesPayload(c, 0x02, u16(20), Buffer.from('short'))
      await c.refuses(packet(0x10, 'MQTT', c.version), ...MALFORMED)
      await c.refuses(packet(0x10, 'MQTT', c.version, 2, 0), ...MALFORMED)
    },
  },
  {
    title: 'the flags of the fixed header of CONNECT are 0',
    v5: '2.1.3-1',
    v311: '2.2.2-2',
    run: async (c) => {
      for (const first of [0x11, 0x12, 0x18]) {
        const sent = connect(c.version, { clientId: c.id() })
        sent[0] = first
        await c.refuses(sent, ...MALFORMED)
      }
    },
  },
  {
    title: 'a property of CONNECT that may be there once is not there twice',
    v5: '3.1.4-1 4.13.1-1',
    run: async (c) => {
      const twice: ConnectFields['properties'] = [
        [P.sessionExpiry, 1],
        [P.receiveMaximum, 5],
        [P.maximumPacketSize, 500],
        [P.topicAliasMaximum, 5],
        [P.requestResponse, 0],
        [P.requestProblem, 1],
      ]
      for (const property of twice) await c.refuses({ properties: [property, property] }, ...MALFORMED)
    },
  },
  {
    title: 'a property of the Will that may be there once is not there twice',
    v5: '3.1.4-1 4.13.1-1',
    run: async (c) => {
      const twice: ConnectFields['properties'] = [
        [P.willDelay, 1],
        [P.payloadFormat, 1],
        [P.messageExpiry, 9],
        [P.contentType, 'c'],
        [P.responseTopic, 'r'],
        [P.correlationData, 'd'],
      ]
      for (const property of twice) {
        await c.refuses({ will: { ...will, properties: [property, property] } }, ...MALFORMED)
      }
    },
  },
  {
    title: 'a property that does not belong to CONNECT, or to its Will, is refused',
    v5: '3.1.4-1 4.13.1-1',
    run: async (c) => {
      await c.refuses({ properties: [[P.topicAlias, 1]] }, ...MALFORMED)
      await c.refuses({ properties: [[P.messageExpiry, 1]] }, ...MALFORMED)
      await c.refuses({ properties: [[P.serverKeepAlive, 1]] }, ...MALFORMED)
      await c.refuses({ will: { ...will, properties: [[P.topicAlias, 1]] } }, ...MALFORMED)
      await c.refuses({ will: { ...will, properties: [[P.sessionExpiry, 1]] } }, ...MALFORMED)
    },
  },
  {
    title: 'a Receive Maximum or a Maximum Packet Size of 0 is refused',
    v5: '3.1.4-1 4.13.1-1',
    run: async (c) => {
      await c.refuses({ properties: [[P.receiveMaximum, 0]] }, 0x82)
      await c.refuses({ properties: [[P.maximumPacketSize, 0]] }, 0x82)
    },
  },
  {
    title: 'a Request Problem Information or Request Response Information other than 0 and 1 is refused',
    v5: '3.1.4-1 4.13.1-1',
    run: async (c) => {
      await c.refuses({ properties: [[P.requestProblem, 2]] }, 0x82)
      await c.refuses({ properties: [[P.requestResponse, 2]] }, 0x82)
    },
  },
  {
    title: 'Authentication Data without an Authentication Method is refused',
    v5: '3.1.4-1 4.13.1-1',
    run: (c) => c.refuses({ properties: [[P.authData, 'data']] }, 0x82),
  },
  {
    title: 'a Payload Format Indicator of the Will other than 0 and 1 is refused',
    v5: '3.1.4-1',
    run: (c) => c.refuses({ will: { ...will, properties: [[P.payloadFormat, 2]] } }, ...MALFORMED, 0x99),
  },
  {
    title: 'an unknown property, and a section that is longer than the packet, are refused',
    v5: '3.1.4-1 2.2.2-1',
    run: async (c) => {
      const raw = (...section: Part[]) => packet(0x10, 'MQTT', 5, 2, u16(0), section, c.id())
      await c.refuses(raw(2, 0x7e, 0), 0x81)
      await c.refuses(raw(varint(120), P.sessionExpiry, u32(0)), 0x81)
      await c.refuses(raw(3, P.sessionExpiry, 0, 0), 0x81)
    },
  },
  {
    title: 'a Will Topic with a wildcard is refused',
    v5: '4.7.0-1',
    v311: '4.7.1-1',
    run: async (c) => {
      for (const topic of ['a/+', 'a/#', '#']) await c.refuses({ will: { topic } }, 0x81, 0x82, 0x90)
    },
  },
  {
    title: 'a Response Topic of the Will is text',
    v5: '3.3.2-13',
    run: (c) => c.refuses({ will: { ...will, properties: [[P.responseTopic, hex('FF')]] } }, 0x81, 0x82),
  },
  {
    title: 'a Response Topic of the Will has no wildcard',
    v5: '3.3.2-14',
    run: (c) => c.refuses({ will: { ...will, properties: [[P.responseTopic, 'a/+']] } }, 0x81, 0x82, 0x90),
  },
  {
    title: 'nothing but CONNECT may come first',
    v5: '3.1.0-1 3.14.0-1',
    v311: '3.1.0-1',
    run: async (c) => {
      const subscribe = packet(0x82, u16(1), c.isV5 ? 0 : [], 'a', 0)
      const publish = packet(0x30, 'conformance/first', c.isV5 ? 0 : [], Buffer.from('x'))
      const others = [hex('C000'), subscribe, publish, hex('E000'), hex('40020001')]
      if (c.isV5) others.push(packet(0xf0, 0x18, 3, P.authMethod, hex('0000')))
      for (const first of others) {
        const client = await c.open()
        client.send(first)
        await client.closed()
        expect(client.inbox.length === 0, `an answer to ${first.toString('hex')} before CONNECT`)
      }
    },
  },
  {
    title: 'a second CONNECT ends the connection, without a second CONNACK',
    v5: '3.1.0-2 3.2.0-2 4.13.1-1',
    v311: '3.1.0-2 4.8.0-1',
    run: async (c) => {
      const clientId = c.id()
      const client = await c.connect({ clientId })
      await c.breaks(client, connect(c.version, { clientId }), 0x82)
    },
  },
]
