/**
 * A cable between a client and the broker that a test can pull: a TCP relay in this process. It can also be a bad one
 * that hands every byte over in a segment of its own.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

export interface CableOptions {
  /** One byte per segment, in both directions. */
  readonly shreds?: boolean
  /** It is pulled when so many bytes have passed, in both directions together: anywhere inside a packet. */
  readonly cutsAtBytes?: readonly number[]
}

export class Cable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Connections made through it so far. */
  connections = 0
  cuts = 0
  readonly #options: CableOptions
  #bytes = 0

  private constructor(server: Server, options: CableOptions) {
    this.#server = server
    this.#options = options
  }

  static async lay(t: Test, targetUrl: string, options: CableOptions = {}): Promise<Cable> {
    const { hostname, port } = new URL(targetUrl)
    const server = createServer()
    const cable = new Cable(server, options)
    server.on('connection', (near) => {
      const far = connect(Number(port), hostname)
      cable.connections += 1
      cable.#join(near, far)
      cable.#join(far, near)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      cable.cut()
      return new Promise((resolve) => server.close(resolve))
    })
    return cable
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Both ends see a lost connection; new ones are taken at once. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.setNoDelay(true)
    from.on('error', () => {})
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
    if (this.#options.shreds === true) void shred(from, to)
    else from.on('data', (chunk) => this.#pass(chunk, to))
  }

  #pass(chunk: Buffer, to: Socket): void {
    const cutAt = this.#options.cutsAtBytes?.[this.cuts] ?? Number.POSITIVE_INFINITY
    this.#bytes += chunk.length
    if (this.#bytes < cutAt) return void to.write(chunk)
    this.cuts += 1
    to.write(chunk.subarray(0, Math.max(0, chunk.length - (this.#bytes - cutAt))), () => this.cut())
  }
}

/** The next byte is written when the kernel has taken the one before, which Nagle's algorithm does not join. */
async function shred(from: Socket, to: Socket): Promise<void> {
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (const byte of chunk) await new Promise<void>((resolve) => to.write(Buffer.of(byte), () => resolve()))
    }
    to.end()
  } catch {
    // Cut.
  }
}
