/**
 * One connection of a scripted client: `tally.v1` packets over a WebSocket and nothing above them, so that a test
 * decides about every packet itself. Reports how the connection ended; never reconnects.
 */
import { WebSocket } from 'ws'
import type { PacketWriter } from '../../src/protocol/codec.js'
import { nativeCodec } from '../../src/protocol/msgpack/codec.js'
import {
  type ConnackPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type Packet,
  PacketType,
  SESSION_NEVER_EXPIRES_SEC,
} from '../../src/protocol/packets.js'

const LIMITS = { maximumPacketSize: 10_000_000, userPropertiesMax: 64, connectPacketSizeMax: 10_000_000 }

export interface LinkEnd {
  /** WebSocket close code; 1006: cut. */
  readonly closeCode: number
  /** The server's DISCONNECT, if it said one. */
  readonly disconnect: DisconnectPacket | null
}

export interface LinkUser {
  receive(packet: Packet): void
  /** A whole WebSocket message has been received. */
  received?(): void
}

export class NativeLink {
  readonly closed: Promise<LinkEnd>
  /** Packets collected until `flush`. */
  readonly writer: PacketWriter = nativeCodec.writer(5)
  readonly #ws: WebSocket
  #disconnect: DisconnectPacket | null = null
  #connack: ((packet: ConnackPacket | null) => void) | null = null

  constructor(url: string, user: LinkUser) {
    const ws = new WebSocket(`${url}/tally`, 'tally.v1', { perMessageDeflate: false })
    this.#ws = ws
    const decoder = nativeCodec.decoder(LIMITS)
    decoder.connectAccepted(5)
    ws.on('error', () => {})
    ws.on('message', (data: Buffer) => {
      decoder.decode(data, (packet) => {
        if (packet.type === PacketType.DISCONNECT) this.#disconnect = packet
        if (packet.type === PacketType.CONNACK) this.#connack?.(packet)
        else user.receive(packet)
      })
      user.received?.()
    })
    this.closed = new Promise((resolve) => {
      ws.once('close', (closeCode) => {
        this.#connack?.(null)
        resolve({ closeCode, disconnect: this.#disconnect })
      })
    })
  }

  get isOpen(): boolean {
    return this.#ws.readyState === WebSocket.OPEN
  }

  /** @returns null when the connection ended first. What `received` writes belongs behind CONNACK. */
  connect(clientId: string, change: Partial<ConnectPacket> = {}): Promise<ConnackPacket | null> {
    return new Promise((resolve) => {
      this.#connack = resolve
      this.#ws.once('close', () => resolve(null))
      this.#ws.once('open', () => {
        this.writer.write({
          type: PacketType.CONNECT,
          protocolLevel: 5,
          clientId,
          cleanStart: false,
          keepAliveSec: 0,
          properties: { sessionExpiryIntervalSec: SESSION_NEVER_EXPIRES_SEC },
          ...change,
        })
        this.flush()
      })
    })
  }

  /** One WebSocket message with everything that was written. */
  flush(): void {
    const written = this.writer.take()
    if (written !== null && this.isOpen) this.#ws.send(written.buffer.subarray(written.headroom))
  }

  close(): void {
    this.#ws.close(1000)
  }
}
