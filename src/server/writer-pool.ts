/**
 * Writers between two turns. A writer that has been emptied knows nothing of its connection any more, so an idle
 * connection holds none, and the writers of a busy turn serve the connections of the next one.
 */
import type { Codec, PacketWriter } from '../protocol/codec.js'
import type { ProtocolLevel } from '../protocol/packets.js'

const IDLE_WRITERS_MAX = 1_024

export class WriterPool {
  readonly #idle = new Map<Codec, PacketWriter[][]>()

  take(codec: Codec, protocolLevel: ProtocolLevel): PacketWriter {
    return this.#stack(codec, protocolLevel).pop() ?? codec.writer(protocolLevel)
  }

  /** @param writer emptied by `take()`. */
  giveBack(codec: Codec, protocolLevel: ProtocolLevel, writer: PacketWriter): void {
    const stack = this.#stack(codec, protocolLevel)
    if (stack.length < IDLE_WRITERS_MAX) stack.push(writer)
  }

  #stack(codec: Codec, protocolLevel: ProtocolLevel): PacketWriter[] {
    let stacks = this.#idle.get(codec)
    if (stacks === undefined) {
      stacks = [[], [], []]
      this.#idle.set(codec, stacks)
    }
    return stacks[protocolLevel - 3] as PacketWriter[]
  }
}
