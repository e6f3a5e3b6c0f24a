/** A transport socket in memory: remembers every write, takes as much as it is told to. */
import type { LinkDescription } from '../../src/core/ports/link.js'
import type { TransportSocket } from '../../src/core/ports/transport.js'
import type { WrittenBytes } from '../../src/protocol/codec.js'

export class FakeSocket implements TransportSocket {
  readonly description: LinkDescription = { transport: 'memory', protocol: 'mqtt', remoteAddress: 'memory:1' }
  /** One entry per write, without the headroom. */
  readonly writes: Buffer[] = []
  pendingBytes = 0
  takenBytes = 0
  isReading = true
  isConnectAccepted = false
  pings = 0
  ended: { closeCode: number; detail: string } | null = null
  isDestroyed = false
  /** False: what is written stays pending. */
  takesBytes = true

  write(written: WrittenBytes): void {
    const bytes = Buffer.from(written.buffer.subarray(written.headroom))
    this.writes.push(bytes)
    if (this.takesBytes) this.takenBytes += bytes.length
    else this.pendingBytes += bytes.length
  }

  pauseReading(): void {
    this.isReading = false
  }

  resumeReading(): void {
    this.isReading = true
  }

  connectAccepted(): void {
    this.isConnectAccepted = true
  }

  sendPing(): boolean {
    this.pings += 1
    return true
  }

  end(closeCode: number, detail: string): void {
    this.ended = { closeCode, detail }
  }

  destroy(): void {
    this.isDestroyed = true
  }

  /** Everything written so far, as one buffer, and forgets it. */
  takeWritten(): Buffer {
    return Buffer.concat(this.writes.splice(0))
  }
}
