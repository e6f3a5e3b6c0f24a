/**
 * The broker's half of a producer as the specification has it, in thirty lines and without the core: what a producer of
 * the SDK is tested against, one step at a time.
 */
import { StreamDigest } from '../../src/base/stream-digest.js'
import {
  PacketType,
  type ProducedPacket,
  type ProducerOpenedPacket,
  type ProducePacket,
  type ProducerOpenPacket,
  type ProducerRefusal,
} from '../../src/protocol/packets.js'
import type { ScriptedConnection } from './client-script.js'

/**
 * The client loads its producers when it is asked for one, by way of a loader in another thread. Who asks behind it and
 * has its answer knows that the client has one too: `next` counts turns, and a loader takes any number of them.
 */
export async function producersLoaded(): Promise<void> {
  await import('../../src/client/producers.js')
}

export class ScriptedProducer {
  sequence = 0
  epoch = 0
  incarnation = 'first'
  /** Everything it took, as `1 topic payload`. */
  readonly taken: string[] = []
  /** Which sequences it refuses, and why. */
  readonly refusing = new Map<number, ProducerRefusal>()
  #hash = new StreamDigest()

  get digest(): Uint8Array {
    return this.#hash.digest()
  }

  opened(packet: ProducerOpenPacket, fields: Partial<ProducerOpenedPacket> = {}): ProducerOpenedPacket {
    this.epoch += 1
    const { handle, confirmedSequence } = packet
    const refusals = this.#refusals(confirmedSequence + 1, this.sequence)
    const { epoch, sequence, digest, incarnation } = this
    return {
      type: PacketType.PRODUCER_OPENED,
      handle,
      reasonCode: 0,
      epoch,
      sequence,
      digest,
      incarnation,
      refusals,
      ...fields,
    }
  }

  produced(packet: ProducePacket, fields: Partial<ProducedPacket> = {}): ProducedPacket {
    const { handle, firstSequence, messages, encoded, ends } = packet
    for (const [index, message] of messages.entries()) {
      const sequence = firstSequence + index
      if (sequence !== this.sequence + 1) continue
      this.sequence = sequence
      this.#hash.update(encoded.subarray(ends[index - 1] ?? 0, ends[index]))
      if (!this.refusing.has(sequence)) {
        this.taken.push(`${sequence} ${message.topicName} ${Buffer.from(message.payload).toString()}`)
      }
    }
    const refusals = this.#refusals(firstSequence, firstSequence + messages.length - 1)
    const { sequence, digest } = this
    return { type: PacketType.PRODUCED, handle, reasonCode: 0, sequence, digest, refusals, ...fields }
  }

  /** Takes the next PRODUCER_OPEN and answers it. */
  async answerOpen(
    connection: ScriptedConnection,
    fields?: Partial<ProducerOpenedPacket>,
  ): Promise<ProducerOpenPacket> {
    await producersLoaded()
    const packet = await connection.next('PRODUCER_OPEN')
    connection.send(this.opened(packet, fields))
    return packet
  }

  /** Takes the next PRODUCE and answers it. */
  async answerProduce(connection: ScriptedConnection, fields?: Partial<ProducedPacket>): Promise<ProducePacket> {
    const packet = await connection.next('PRODUCE')
    connection.send(this.produced(packet, fields))
    return packet
  }

  /** Restored from a backup: what it had at so many messages. */
  static after(packets: readonly ProducePacket[]): ScriptedProducer {
    const restored = new ScriptedProducer()
    restored.incarnation = 'restored'
    for (const packet of packets) restored.produced(packet)
    return restored
  }

  #refusals(from: number, to: number): ProducerRefusal[] {
    return [...this.refusing.values()].filter(
      ({ sequence }) => sequence >= from && sequence <= Math.min(to, this.sequence),
    )
  }
}
