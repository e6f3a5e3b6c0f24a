/**
 * Consumers that come, go, take over, stall and acknowledge as they like, by seed, without and with restarts of the
 * broker. At the end each has had every message exactly once, in order, and never more than it allowed.
 */
import t from 'tap'
import type { ClientConnection } from '../../src/core/connection.js'
import { PacketType } from '../../src/protocol/packets.js'
import { Random } from '../support/random.js'
import { type Received, type TestBroker, type TestClient, testBroker } from '../support/test-broker.js'

/** A consumer with its own book, like one that must bill: a message counts when it comes first. */
class Consumer {
  readonly clientId: string
  readonly topicFilter: string
  readonly seen: string[] = []
  readonly problems: string[] = []
  #client: TestClient | null = null
  #receiveMaximum = 65_535
  /** QoS 2 ids with PUBREC and no PUBREL yet: a PUBLISH with one of them is the same message. */
  readonly #receipts = new Set<number>()
  #unacknowledged: Received<'PUBLISH'>[] = []
  #releases: number[] = []
  /** Exchanges on this connection that are not finished. */
  readonly #open = new Set<number>()

  constructor(clientId: string, topicFilter: string) {
    this.clientId = clientId
    this.topicFilter = topicFilter
  }

  connect(host: TestBroker, receiveMaximum: number): void {
    const isFirst = this.#client === null
    this.#receiveMaximum = receiveMaximum
    this.#unacknowledged = []
    this.#releases = []
    this.#open.clear()
    this.#client = host.resume(this.clientId, { properties: { receiveMaximum } })
    if (isFirst) this.#client.subscribe(this.topicFilter, 2)
    this.read()
  }

  cut(): void {
    if (this.#client?.link.isOpen) this.#client.cut()
  }

  stall(stalledBytes: number): void {
    if (this.#client === null || !this.#client.link.isOpen) return
    this.#client.link.stalledBytes = stalledBytes
  }

  /** The server notices that there is room again, some time after there is. */
  drained(): void {
    const { host, connection, link } = this.#client ?? {}
    if (link?.isOpen && link.stalledBytes === 0) host?.core.drained(connection as ClientConnection, host.clock.nowMs())
  }

  read(): void {
    if (this.#client === null) return
    for (const publish of this.#client.take('PUBLISH')) {
      this.#open.add(publish.packetId)
      if (this.#open.size > this.#receiveMaximum) this.problems.push(`${this.#open.size} at a time`)
      this.#unacknowledged.push(publish)
    }
    for (const { packetId } of this.#client.take('PUBREL')) {
      this.#open.add(packetId)
      this.#releases.push(packetId)
    }
  }

  /** Up to `count` acknowledgements, oldest first. */
  acknowledge(count: number): void {
    const client = this.#client
    if (client === null || !client.link.isOpen) return
    for (let left = count; left > 0; left -= 1) {
      const publish = this.#unacknowledged.shift()
      if (publish !== undefined) {
        if (!this.#receipts.has(publish.packetId)) this.seen.push(new TextDecoder().decode(publish.payload))
        this.#receipts.add(publish.packetId)
        client.ack(PacketType.PUBREC, publish.packetId)
      }
      const released = this.#releases.shift()
      if (released !== undefined) {
        this.#receipts.delete(released)
        this.#open.delete(released)
        client.ack(PacketType.PUBCOMP, released)
      }
    }
  }

  finish(host: TestBroker): void {
    this.connect(host, 65_535)
    for (let round = 0; round < 10_000; round += 1) {
      host.settle()
      this.read()
      if (this.#unacknowledged.length + this.#releases.length === 0) return
      this.acknowledge(100)
    }
    throw new Error('does not come to an end')
  }
}

function churn(seed: number, withCrashes: boolean): { problems: string[]; expected: string[]; seen: string[][] } {
  const source = new Random(seed)
  const random = (below: number) => source.below(below)
  const limits = { queueWindowMessages: 1 + random(12), inflightMax: 1 + random(20), outputBufferBytesMax: 1_000 }
  let host = testBroker({ limits })
  const plain = [new Consumer('plain 1', 't/#'), new Consumer('plain 2', '+/x')]
  const shared = [new Consumer('shared 1', '$share/g/t/x'), new Consumer('shared 2', '$share/g/t/x')]
  const all = [...plain, ...shared]
  for (const consumer of all) consumer.connect(host, 1 + random(8))
  let publisher = host.resume('publisher')
  const expected: string[] = []
  for (let step = 0; step < 250; step += 1) {
    const consumer = all[random(all.length)] as Consumer
    const what = random(withCrashes ? 22 : 21)
    if (what < 7) {
      const payload = `${expected.length}`
      expected.push(payload)
      const packetId = publisher.publish('t/x', payload, 2)
      host.settle()
      publisher.ack(PacketType.PUBREL, packetId)
      host.settle()
    } else if (what < 12) consumer.read()
    else if (what < 15) consumer.acknowledge(1 + random(5))
    else if (what === 15) consumer.connect(host, 1 + random(8))
    else if (what === 16) consumer.cut()
    else if (what === 17) consumer.stall(2_000)
    else if (what === 18) consumer.stall(0)
    else if (what === 19) consumer.drained()
    else if (what === 20) host.core.checkpoint()
    else {
      host = host.crash()
      publisher = host.resume('publisher')
      for (const each of all) each.connect(host, 1 + random(8))
    }
    if (random(3) === 0) host.settle()
    else host.turn()
  }
  for (const consumer of all) consumer.finish(host)
  const problems = all.flatMap(({ problems: found }) => found)
  if (host.core.counters.dropped['queue-full'] > 0) problems.push('something was dropped')
  for (const { seen } of shared) {
    const numbers = seen.map(Number)
    if (numbers.some((number, index) => index > 0 && number <= (numbers[index - 1] ?? 0))) problems.push('share order')
  }
  const ofGroup = shared.flatMap(({ seen }) => seen).sort((a, b) => Number(a) - Number(b))
  return { problems, expected, seen: [...plain.map(({ seen }) => seen), ofGroup] }
}

for (const withCrashes of [false, true]) {
  t.test(`exactly once and in order, ${withCrashes ? 'with' : 'without'} restarts`, async (t) => {
    for (let seed = 1; seed <= 150; seed += 1) {
      const { problems, expected, seen } = churn(seed, withCrashes)
      t.same(problems, [], `seed ${seed}`)
      for (const [index, payloads] of seen.entries()) t.same(payloads, expected, `seed ${seed}, consumer ${index}`)
    }
  })
}
