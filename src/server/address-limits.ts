/**
 * How much one address may take: connections at one time, and new ones in a second. An IPv6 client counts with its /64,
 * which is what one subscriber line has. This machine itself is not counted: gateways, proxies and benchmarks run here.
 * Behind a load balancer the client's address counts, if the PROXY protocol tells it.
 *
 * Nothing is kept longer than the connections it is about, or than the second.
 */
import { isIP, isIPv4 } from 'node:net'
import { isLoopback } from './listeners.js'

export interface AddressLimitOptions {
  /** 0: no bound. */
  readonly connectionsPerAddressMax: number
  /** 0: no bound. */
  readonly connectsPerAddressPerSecMax: number
}

const SECOND_MS = 1_000

export class AddressLimits {
  readonly #options: AddressLimitOptions
  readonly #isOff: boolean
  readonly #open = new Map<string, number>()
  readonly #recent = new Map<string, number>()
  #secondBeganMs = Number.NEGATIVE_INFINITY

  constructor(options: AddressLimitOptions) {
    this.#options = options
    this.#isOff = options.connectionsPerAddressMax === 0 && options.connectsPerAddressPerSecMax === 0
  }

  /** Why one more connection from there may not open now, for the peer to read. @param remoteAddress with its port. */
  refusal(remoteAddress: string, nowMs: number): string | null {
    const key = this.#keyOf(remoteAddress)
    if (key === null) return null
    const { connectionsPerAddressMax, connectsPerAddressPerSecMax } = this.#options
    if (connectionsPerAddressMax > 0 && (this.#open.get(key) ?? 0) >= connectionsPerAddressMax) {
      return 'too many connections from this address (limits.connectionsPerAddressMax)'
    }
    this.#turnSecond(nowMs)
    if (connectsPerAddressPerSecMax > 0 && (this.#recent.get(key) ?? 0) >= connectsPerAddressPerSecMax) {
      return 'too many new connections from this address; try again later (limits.connectsPerAddressPerSecMax)'
    }
    return null
  }

  opened(remoteAddress: string, nowMs: number): void {
    const key = this.#keyOf(remoteAddress)
    if (key === null) return
    this.#turnSecond(nowMs)
    this.#open.set(key, (this.#open.get(key) ?? 0) + 1)
    this.#recent.set(key, (this.#recent.get(key) ?? 0) + 1)
  }

  /** Once for each `opened`, with the same address. */
  closed(remoteAddress: string): void {
    const key = this.#keyOf(remoteAddress)
    if (key === null) return
    const left = (this.#open.get(key) ?? 0) - 1
    if (left > 0) this.#open.set(key, left)
    else this.#open.delete(key)
  }

  #turnSecond(nowMs: number): void {
    if (nowMs - this.#secondBeganMs < SECOND_MS) return
    this.#secondBeganMs = nowMs
    this.#recent.clear()
  }

  #keyOf(remoteAddress: string): string | null {
    return this.#isOff ? null : addressKey(remoteAddress)
  }
}

/** Whom `1.2.3.4:5`, `[2001:db8::1]:5` or `[::ffff:1.2.3.4]:5` counts for. null: this machine, or nobody knows who. */
export function addressKey(remoteAddress: string): string | null {
  const host = remoteAddress.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1] ?? host
  if (isIP(plain) === 0 || isLoopback(plain)) return null
  return isIPv4(plain) ? plain : prefix64(plain)
}

function prefix64(address: string): string {
  const [before, after] = (address.split('%')[0] as string).split('::')
  const head = before ? before.split(':') : []
  const tail = after ? after.split(':') : []
  const gap = new Array<string>(8 - head.length - tail.length).fill('0')
  const groups = [...head, ...gap, ...tail].map((group) => Number.parseInt(group, 16).toString(16))
  return `${groups.slice(0, 4).join(':')}::/64`
}
