/**
 * Writers between two turns. A writer that has been emptied knows nothing of its connection any more, so an idle
 * connection holds none, and the writers of a busy turn serve the connections of the next one.
 */
import type { Codec, PacketWriter } from '../protocol/codec.js'
import type { ProtocolLevel } from '../protocol/packets.js'
import { SharedRuns } from './shared-run.js'

const IDLE_WRITERS_MAX = 1_024

/** What one codec and protocol level has. */
interface Shelf {
  readonly idle: PacketWriter[]
  readonly runs: SharedRuns
}

export class WriterPool {
  readonly #shelves = new Map<Codec, Shelf[]>()

  take(codec: Codec, protocolLevel: ProtocolLevel): PacketWriter {
    return this.#shelf(codec, protocolLevel).idle.pop() ?? codec.writer(protocolLevel)
  }

  /** @param writer emptied by `take()`. */
  giveBack(codec: Codec, protocolLevel: ProtocolLevel, writer: PacketWriter): void {
    const { idle } = this.#shelf(codec, protocolLevel)
    if (idle.length < IDLE_WRITERS_MAX) idle.push(writer)
  }

  /** What connections of one kind write in common. */
  runs(codec: Codec, protocolLevel: ProtocolLevel): SharedRuns {
    return this.#shelf(codec, protocolLevel).runs
  }

  #shelf(codec: Codec, protocolLevel: ProtocolLevel): Shelf {
    let shelves = this.#shelves.get(codec)
    if (shelves === undefined) {
      shelves = ([3, 4, 5] as const).map((level) => ({ idle: [], runs: new SharedRuns(this, codec, level) }))
      this.#shelves.set(codec, shelves)
    }
    return shelves[protocolLevel - 3] as Shelf
  }
}
