/**
 * One network connection in the core: its state and what the client asked for in CONNECT.
 *
 *                    CONNECT              accepted
 *   awaiting-connect ───────▶ authenticating ───────▶ connected
 *          │                        │ refused             │ DISCONNECT, error, takeover, link lost
 *          └────────────────────────┴─────────▶ closed ◀──┘
 */
import { assert } from '../base/assert.js'
import {
  type ConnectPacket,
  PACKET_ID_MAX,
  PacketType,
  type ProtocolLevel,
  type UserProperties,
} from '../protocol/packets.js'
import type { Copy } from './message.js'
import type { AuthenticationExchange } from './ports/access.js'
import type { Link } from './ports/link.js'
import type { OpenProducer } from './producer.js'
import type { RetainedJob } from './retained.js'
import type { Session } from './session.js'
import type { InboundTopicAliases, OutboundTopicAliases } from './topic-aliases.js'

export type ConnectionState = 'awaiting-connect' | 'authenticating' | 'connected' | 'closed'

/** Which state may follow which; everything else is our bug. */
const TRANSITIONS: Readonly<Record<ConnectionState, readonly ConnectionState[]>> = {
  'awaiting-connect': ['authenticating', 'closed'],
  authenticating: ['connected', 'closed'],
  connected: ['closed'],
  closed: [],
}

/**
 * Packets a client may send in each state, a bit for each type; any other is a Protocol Error
 * [v5 MQTT-3.1.0-1, 3.1.0-2, 4.13.1-1].
 */
const PACKETS_ALLOWED: Readonly<Record<ConnectionState, number>> = {
  'awaiting-connect': bitsOf([PacketType.CONNECT]),
  authenticating: bitsOf([PacketType.AUTH, PacketType.DISCONNECT]),
  connected: bitsOf([
    PacketType.PUBLISH,
    PacketType.PUBACK,
    PacketType.PUBREC,
    PacketType.PUBREL,
    PacketType.PUBCOMP,
    PacketType.SUBSCRIBE,
    PacketType.UNSUBSCRIBE,
    PacketType.PINGREQ,
    PacketType.PINGRESP,
    PacketType.DISCONNECT,
    PacketType.AUTH,
    PacketType.PRODUCER_OPEN,
    PacketType.PRODUCE,
  ]),
  closed: 0,
}

function bitsOf(types: readonly PacketType[]): number {
  return types.reduce<number>((bits, type) => bits | (1 << type), 0)
}

/** Who the client says it is, and how far that has been looked into. */
export interface Authentication {
  /** null: user name and password, one answer. */
  readonly method: string | null
  /** null: no conversation is under way. */
  exchange: AuthenticationExchange | null
  /** The CONNECT that waits for the outcome. null: accepted long ago; a conversation is a re-authentication. */
  connect: ConnectPacket | null
  /** The access port has promised an answer. */
  isPending: boolean
  /** What goes with the CONNACK. */
  finalData: Uint8Array | null
}

export class ClientConnection {
  readonly link: Link
  #state: ConnectionState = 'awaiting-connect'
  #packetsAllowed = PACKETS_ALLOWED['awaiting-connect']
  clientId = ''
  keepAliveSec = 0
  isClientIdAssigned = false
  protocolLevel: ProtocolLevel = 5
  session: Session | null = null
  /** What the client takes unacknowledged at QoS 1 and 2; further copies wait [v5 MQTT-3.3.4-9]. */
  receiveMaximum = PACKET_ID_MAX
  /** Infinity: the client set no Maximum Packet Size. */
  maximumPacketSize = Number.POSITIVE_INFINITY
  /** False: no reason strings and user properties except where always allowed [v5 MQTT-3.1.2-29]. */
  isProblemInformationWanted = true
  /** What it asked to be told with every answer; null: nothing. */
  durability: UserProperties | null = null
  inboundAliases: InboundTopicAliases | null = null
  /** One set for each box of the link: what leaves at once overtakes what waits for a commit, and would use what the
   * peer has not learnt yet. */
  outboundAliases: OutboundTopicAliases | null = null
  outboundAliasesAfterCommit: OutboundTopicAliases | null = null
  /** Copies sent on this connection and not acknowledged. */
  outstanding = 0
  /** Packet identifiers named in ranges of acknowledgements that nothing waited for; bounded. */
  unawaitedAcks = 0
  /** Publications at QoS 1 whose PUBACK waits for a commit: [open record, record in flight]. */
  unacknowledgedOpen = 0
  unacknowledgedSealed = 0
  /**
   * Publications at QoS 2 that came on this connection and whose PUBREL did not [v5 4.9: a new connection, a new
   * quota].
   */
  unreleased = 0
  /** What was in flight at the last connection and is still to be sent again; null: nothing. */
  resend: readonly Copy[] | null = null
  resendNext = 0
  /** QoS 0 is being dropped for it since its buffer was full. */
  isCongested = false
  retainedJobs: RetainedJob[] | null = null
  /** By handle. null: none was opened. */
  producers: Map<number, OpenProducer> | null = null
  /** null once connected without an Authentication Method: then there is nothing to come. */
  authentication: Authentication | null = null

  constructor(link: Link) {
    this.link = link
  }

  get state(): ConnectionState {
    return this.#state
  }

  get isConnected(): boolean {
    return this.#state === 'connected'
  }

  /** May the client send this now? */
  allows(type: PacketType): boolean {
    return (this.#packetsAllowed & (1 << type)) !== 0
  }

  /** A conversation that the client has begun anew, and in which the next word is the client's or the access port's. */
  get isReauthenticating(): boolean {
    return this.#state === 'connected' && this.authentication !== null && this.authentication.exchange !== null
  }

  become(next: ConnectionState): void {
    assert(TRANSITIONS[this.#state].includes(next), `a connection does not go from ${this.#state} to ${next}`)
    this.#state = next
    this.#packetsAllowed = PACKETS_ALLOWED[next]
  }
}
