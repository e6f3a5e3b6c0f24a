/**
 * Topic aliases of one network connection, one class per direction; they are forgotten with the connection
 * [v5 MQTT-3.3.2-7]. Neither holds memory before the first alias is used.
 */
import { ProtocolError } from '../protocol/protocol-error.js'
import { ReasonCode } from '../protocol/reason-codes.js'

/** What the client's numbers stand for. */
export class InboundTopicAliases {
  readonly #topicAliasMaximum: number
  #topicNames: (string | undefined)[] | null = null

  /** @param topicAliasMaximum what this broker has announced in CONNACK; 0: none accepted. */
  constructor(topicAliasMaximum: number) {
    this.#topicAliasMaximum = topicAliasMaximum
  }

  /**
   * @param topicName as in the PUBLISH; empty where the alias stands for it. Valid otherwise.
   * @returns the topic name meant. A name with an alias sets or changes what the alias stands for.
   */
  resolve(topicName: string, topicAlias: number | undefined): string {
    if (topicAlias === undefined) {
      if (topicName.length > 0) return topicName
      throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, 'Send a topic name, or a topic alias that stands for one')
    }
    if (topicAlias === 0) {
      throw new ProtocolError(ReasonCode.TOPIC_ALIAS_INVALID, 'A topic alias is at least 1') // [v5 MQTT-3.3.2-8]
    }
    if (topicAlias > this.#topicAliasMaximum) {
      throw new ProtocolError(
        ReasonCode.TOPIC_ALIAS_INVALID, // [v5 MQTT-3.3.2-9]
        `Use topic aliases up to ${this.#topicAliasMaximum}, the Topic Alias Maximum in CONNACK, not ${topicAlias}`,
      )
    }
    if (topicName.length > 0) {
      this.#topicNames ??= []
      this.#topicNames[topicAlias] = topicName
      return topicName
    }
    const known = this.#topicNames?.[topicAlias]
    if (known !== undefined) return known
    throw new ProtocolError(
      ReasonCode.PROTOCOL_ERROR,
      `Topic alias ${topicAlias} stands for nothing yet: send it once with its topic name on this connection`,
    )
  }
}

export interface TopicAlias {
  /** 1 to the peer's Topic Alias Maximum. */
  readonly alias: number
  /** The packet must carry the topic name too, so that the peer learns it. */
  readonly isNew: boolean
}

interface Assigned {
  readonly topicName: string
  isUsed: boolean
  readonly again: TopicAlias
}

/**
 * Which number stands for a topic towards this peer. When all are taken, a hand goes round and replaces the first one
 * not used since it last came by (second chance): a few busy topics keep theirs among many rare ones.
 */
export class OutboundTopicAliases {
  readonly #topicAliasMaximum: number
  readonly #firstAlias: number
  #assigned: Map<string, Assigned> | null = null
  /** In the place of alias - firstAlias. */
  #byAlias: Assigned[] | null = null
  #hand = 0

  /**
   * @param topicAliasMaximum the peer's, or less where we want to hold less; 0: it wants none [v5 MQTT-3.1.2-26].
   * @param firstAlias where two share the numbers of one peer.
   */
  constructor(topicAliasMaximum: number, firstAlias = 1) {
    this.#topicAliasMaximum = topicAliasMaximum
    this.#firstAlias = firstAlias
  }

  /**
   * Ask only for a packet that surely leaves, in the order of asking: the peer learns a new alias from it.
   * @returns undefined when the peer takes no aliases.
   */
  assign(topicName: string): TopicAlias | undefined {
    if (this.#topicAliasMaximum === 0) return undefined
    this.#assigned ??= new Map()
    const known = this.#assigned.get(topicName)
    if (known !== undefined) {
      known.isUsed = true
      return known.again
    }
    this.#byAlias ??= []
    const place = this.#freePlace(this.#assigned, this.#byAlias)
    const alias = this.#firstAlias + place
    const assigned = { topicName, isUsed: false, again: { alias, isNew: false } }
    this.#byAlias[place] = assigned
    this.#assigned.set(topicName, assigned)
    return { alias, isNew: true }
  }

  #freePlace(byTopicName: Map<string, Assigned>, byAlias: readonly Assigned[]): number {
    if (byAlias.length < this.#topicAliasMaximum) return byAlias.length
    for (;;) {
      const place = this.#hand
      this.#hand = (place + 1) % byAlias.length
      const candidate = byAlias[place] as Assigned
      if (!candidate.isUsed) {
        byTopicName.delete(candidate.topicName)
        return place
      }
      candidate.isUsed = false
    }
  }
}
