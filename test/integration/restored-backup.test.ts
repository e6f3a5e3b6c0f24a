/**
 * S1 of the crash points: a restore from backup. The broker says so in its log, names another incarnation to every
 * client, and a producer whose acknowledged messages the backup lacks learns how far the broker's memory goes.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { encodeProduceMessage, joinMessages } from '../../src/protocol/msgpack/produce.js'
import { type Packet, PacketType } from '../../src/protocol/packets.js'
import { NativeLink } from '../support/books-link.js'
import { BrokerProcess } from '../support/broker-process.js'
import { copyDirectory } from '../support/copy-directory.js'
import { message, producerId } from '../support/produce.js'

type Answer<N extends keyof typeof PacketType> = Extract<Packet, { type: (typeof PacketType)[N] }>

class ProducerClient {
  readonly link: NativeLink
  readonly #waiting: ((packet: Packet) => void)[] = []
  incarnation = ''

  constructor(url: string) {
    this.link = new NativeLink(url, { receive: (packet) => this.#waiting.shift()?.(packet) })
  }

  async connect(): Promise<this> {
    const connack = await this.link.connect('meter')
    this.incarnation = connack?.incarnation ?? ''
    return this
  }

  open(confirmedSequence: number): Promise<Answer<'PRODUCER_OPENED'>> {
    const packet = { handle: 1, producerId: producerId(7), confirmedSequence, digest: null }
    return this.#ask({ type: PacketType.PRODUCER_OPEN, ...packet }) as Promise<Answer<'PRODUCER_OPENED'>>
  }

  produce(firstSequence: number, ...payloads: string[]): Promise<Answer<'PRODUCED'>> {
    const messages = payloads.map((payload) => message('meters/7', payload))
    const packet = {
      handle: 1,
      firstSequence,
      confirmedSequence: 0,
      isAtomic: false,
      messages,
      ...joinMessages(messages.map(encodeProduceMessage)),
    }
    return this.#ask({ type: PacketType.PRODUCE, ...packet }) as Promise<Answer<'PRODUCED'>>
  }

  #ask(packet: Packet): Promise<Packet> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.link.writer.write(packet)
      this.link.flush()
    })
  }
}

async function withBroker(t: Test, directory: string, run: (client: ProducerClient) => Promise<void>): Promise<string> {
  const broker = await BrokerProcess.start(t, { directory, flags: ['--log-level', 'info'] })
  const client = await new ProducerClient(broker.url).connect()
  await run(client)
  client.link.close()
  broker.kill()
  return (await broker.ended).errors
}

t.test('S1 restore from backup', async (t) => {
  const parent = t.testdir()
  const directory = join(parent, 'data')
  const backup = join(parent, 'backup')
  let incarnation = ''
  const first = await withBroker(t, directory, async (client) => {
    incarnation = client.incarnation
    t.equal((await client.open(0)).incarnation, incarnation)
    t.equal((await client.produce(1, 'one', 'two')).sequence, 2)
  })
  t.notMatch(first, /restored/)
  copyDirectory(directory, backup)
  const second = await withBroker(t, directory, async (client) => {
    t.equal(client.incarnation, incarnation, 'a restart is the same incarnation')
    await client.open(2)
    t.equal((await client.produce(3, 'three')).sequence, 3)
  })
  t.notMatch(second, /restored/)
  rmSync(directory, { recursive: true })
  copyDirectory(backup, directory)
  let restored = ''
  const third = await withBroker(t, directory, async (client) => {
    restored = client.incarnation
    t.not(restored, incarnation, 'CONNACK names another incarnation')
    const opened = await client.open(3)
    t.equal(opened.reasonCode, 0)
    t.match(opened, { incarnation: restored, sequence: 2 }, 'the backup knows two messages, the outbox has three acked')
    t.equal((await client.produce(3, 'three')).sequence, 3, 'the stream is refilled from the outbox')
  })
  t.match(third, /a copy or was restored/)
  t.match(third, incarnation)
  t.match(JSON.parse(readFileSync(join(directory, 'store.json'), 'utf8')), { incarnation: restored })
  await withBroker(t, directory, async (client) => {
    t.equal(client.incarnation, restored, 'and keeps it')
    t.equal((await client.open(3)).sequence, 3)
  })
})
