/**
 * What must hold for every packet of the broker, whatever the case was about: each rule is a numbered case of its own
 * and looks at all packets of the run. Counts how often it had something to look at; never stops a case.
 */
import { valueCheck } from './code-tables.js'
import { P, type Version } from './wire/bytes.js'
import { isDup, type Packet, qosOf, TYPE, typeName, propertyOf, propertiesOf } from './wire/decode.js'

/** What the rules need to know about the connection a packet came on. */
export interface Seen {
  readonly version: Version
  readonly packet: Packet
  /** Types that came before on this connection, in order. */
  readonly before: readonly number[]
  /** Whether a CONNACK with a code below 0x80 came before. */
  readonly isAccepted: boolean
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly requestProblem: boolean
  readonly requestResponse: boolean
  readonly authMethod: string | null
  readonly caseId: string
}

export interface PassiveRule {
  readonly title: string
  readonly v5?: string
  readonly v311?: string
  /** Null: nothing to look at. True: as it should be. */
  look(seen: Seen): boolean | null
}

const on = (type: number, check: (packet: Packet, seen: Seen) => boolean) => (seen: Seen) =>
  seen.packet.type === type ? check(seen.packet, seen) : null
const noProblem = (kind: string) => (seen: Seen) => !seen.packet.problems.some((problem) => problem.kind === kind)

export const PASSIVE_RULES: readonly PassiveRule[] = [
  {
    title: 'the flags of every packet are those of the table',
    v5: '2.1.3-1',
    v311: '2.2.2-1',
    look: noProblem('flags'),
  },
  { title: 'every variable byte integer has its shortest form', v5: '1.5.5-1', look: noProblem('varint') },
  {
    title: 'every string is well-formed UTF-8 without U+0000',
    v5: '1.5.4-1 1.5.4-2 1.5.7-1',
    v311: '1.5.3-1 1.5.3-2',
    look: noProblem('text'),
  },
  {
    title: 'every packet has exactly the fields of its kind, the property section included',
    v5: '2.2.2-1 2.2.1-2',
    v311: '2.3.1-5 7.0.0-2',
    look: noProblem('form'),
  },
  {
    title: 'nothing but AUTH comes before CONNACK',
    v5: '3.2.0-1',
    v311: '3.2.0-1',
    look: ({ packet, before }) =>
      before.includes(TYPE.connack) ? null : packet.type === TYPE.connack || packet.type === TYPE.auth,
  },
  {
    title: 'there is one CONNACK on a connection',
    v5: '3.2.0-2',
    look: on(TYPE.connack, (_, { before }) => !before.includes(TYPE.connack)),
  },
  {
    title: 'bits 7 to 1 of the Connect Acknowledge Flags are 0',
    v5: '3.2.2-1',
    look: on(TYPE.connack, ({ ackFlags }) => ackFlags <= 1),
  },
  {
    title: 'a CONNACK that refuses has Session Present 0',
    v5: '3.2.2-6',
    v311: '3.2.2-4',
    look: ({ packet }) => (packet.type === TYPE.connack && packet.code !== 0 ? packet.ackFlags === 0 : null),
  },
  {
    title: 'every CONNACK code is in the table',
    v5: '3.2.2-8',
    v311: '3.2.2-6',
    look: on(TYPE.connack, (packet, { version }) => valueCheck(version, TYPE.connack, packet.code)),
  },
  ...ackRule('PUBACK', TYPE.puback, '3.4.2-1'),
  ...ackRule('PUBREC', TYPE.pubrec, '3.5.2-1'),
  ...ackRule('PUBREL', TYPE.pubrel, '3.6.2-1'),
  ...ackRule('PUBCOMP', TYPE.pubcomp, '3.7.2-1'),
  {
    title: 'every SUBACK code is in the table',
    v5: '3.9.3-2',
    v311: '3.9.3-2',
    look: on(TYPE.suback, ({ codes }, { version }) => codes.every((code) => valueCheck(version, TYPE.suback, code))),
  },
  {
    title: 'every UNSUBACK code is in the table',
    v5: '3.11.3-2',
    look: on(TYPE.unsuback, ({ codes }) => codes.every((code) => valueCheck(5, TYPE.unsuback, code))),
  },
  {
    title: 'every DISCONNECT reason is one a server may send',
    v5: '3.14.2-1',
    look: on(TYPE.disconnect, ({ code }) => valueCheck(5, TYPE.disconnect, code)),
  },
  {
    title: 'no DISCONNECT of the server has a Session Expiry Interval',
    v5: '3.14.2-2',
    look: on(TYPE.disconnect, (packet) => propertyOf(packet, P.sessionExpiry) === undefined),
  },
  {
    title: 'no DISCONNECT comes before a CONNACK that accepts',
    v5: '3.14.0-1',
    look: on(TYPE.disconnect, (_, { isAccepted }) => isAccepted),
  },
  {
    title: 'nothing comes behind a DISCONNECT',
    v5: '3.14.4-1',
    look: ({ packet, before }) =>
      before.includes(TYPE.disconnect) ? false : packet.type === TYPE.disconnect ? true : null,
  },
  {
    title: 'no packet is larger than the Maximum Packet Size of the client',
    v5: '3.1.2-24',
    look: ({ packet, maximumPacketSize }) =>
      maximumPacketSize === Number.POSITIVE_INFINITY ? null : packet.bytes.length <= maximumPacketSize,
  },
  {
    title: 'no Topic Alias is 0 or above the maximum of the client',
    v5: '3.1.2-26 3.3.2-8 3.3.2-11',
    look: on(TYPE.publish, (packet, { topicAliasMaximum }) => {
      const alias = propertyOf(packet, P.topicAlias)
      return alias === undefined || (Number(alias) > 0 && Number(alias) <= topicAliasMaximum)
    }),
  },
  {
    title: 'a client without a Topic Alias Maximum gets no Topic Alias',
    v5: '3.1.2-27',
    look: ({ packet, topicAliasMaximum }) =>
      packet.type === TYPE.publish && topicAliasMaximum === 0 ? propertyOf(packet, P.topicAlias) === undefined : null,
  },
  {
    title: 'with Request Problem Information 0, only PUBLISH, CONNACK and DISCONNECT say more',
    v5: '3.1.2-29',
    look: ({ packet, requestProblem }) => {
      const mayExplain: readonly number[] = [TYPE.publish, TYPE.connack, TYPE.disconnect]
      if (requestProblem || mayExplain.includes(packet.type)) return null
      return propertyOf(packet, P.reasonString) === undefined && propertiesOf(packet, P.userProperty).length === 0
    },
  },
  {
    title: 'who did not ask for Response Information gets none',
    v5: '3.1.2-28',
    look: ({ packet, requestResponse }) =>
      packet.type === TYPE.connack && !requestResponse ? propertyOf(packet, P.responseInformation) === undefined : null,
  },
  {
    title: 'a QoS 0 PUBLISH has DUP 0',
    v5: '3.3.1-2 4.3.1-1',
    v311: '3.3.1-2 4.3.1-1',
    look: ({ packet }) => (packet.type === TYPE.publish && qosOf(packet) === 0 ? !isDup(packet) : null),
  },
  {
    title: 'no PUBLISH has QoS 3',
    v5: '3.3.1-4',
    v311: '3.3.1-4',
    look: on(TYPE.publish, (packet) => qosOf(packet) !== 3),
  },
  {
    title: 'a PUBLISH with QoS 1 or 2 has a Packet Identifier that is not 0',
    v5: '2.2.1-4',
    v311: '2.3.1-1 2.3.1-4',
    look: ({ packet }) => (packet.type === TYPE.publish && qosOf(packet) > 0 ? packet.id > 0 : null),
  },
  {
    title: 'no PUBLISH has a wildcard in its Topic Name',
    v5: '3.3.2-2 4.7.0-1',
    v311: '3.3.2-2 4.7.1-1',
    look: on(TYPE.publish, ({ topic }) => !/[+#]/.test(topic)),
  },
  {
    title: 'a client that named no Authentication Method sees no AUTH and no method',
    v5: '4.12.0-6',
    look: ({ packet, authMethod }) => {
      if (authMethod !== null || (packet.type !== TYPE.connack && packet.type !== TYPE.auth)) return null
      return packet.type === TYPE.connack && propertyOf(packet, P.authMethod) === undefined
    },
  },
]

function ackRule(name: string, type: number, v5: string): PassiveRule[] {
  return [
    {
      title: `every ${name} reason is in the table`,
      v5,
      look: on(type, ({ code }) => valueCheck(5, type, code)),
    },
  ]
}

export class Audit {
  readonly observed: number[] = PASSIVE_RULES.map(() => 0)
  readonly violations: string[][] = PASSIVE_RULES.map(() => [])

  packet(seen: Seen): void {
    const { packet } = seen
    for (const [index, rule] of PASSIVE_RULES.entries()) {
      if ((seen.version === 5 ? rule.v5 : rule.v311) === undefined) continue
      const answer = rule.look(seen)
      if (answer === null) continue
      this.observed[index] = (this.observed[index] as number) + 1
      if (answer) continue
      const digits = packet.bytes.subarray(0, 48).toString('hex')
      const what = packet.problems.map(({ text }) => text).join(', ')
      this.violations[index]?.push(`${seen.caseId}: ${typeName(packet.type)} ${digits} ${what}`.trim())
    }
  }
}
