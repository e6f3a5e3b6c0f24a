/**
 * One broker process and the clients that keep books about it: publishers of QoS 1, QoS 2 and retained messages, one
 * that gives up after every loss, a biller, an archive, a share group, and a sleeper who is away most of the time.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { ArrivalBook, Books } from './books.js'
import { BookedConsumer } from './books-consumer.js'
import { type LinkEnd, NativeLink } from './books-link.js'
import { BookedPublisher } from './books-publisher.js'
import { BrokerProcess } from './broker-process.js'
import type { CliResult } from './cli-process.js'
import type { Random } from './random.js'

const Q1 = ['q1']
const Q2 = ['q2-a', 'q2-b', 'q2-c', 'careless']

function makeClients(books: Books) {
  const billed = new ArrivalBook('billing')
  const archived = new ArrivalBook('archive')
  const shared = new ArrivalBook('share group')
  const slept = new ArrivalBook('sleeper')
  const member = (name: string) =>
    new BookedConsumer(books, { name, filters: ['$share/g/q2/#'], qos: 2, arrivals: shared, laziness: 0.3 })
  const consumers = [
    new BookedConsumer(books, { name: 'billing', filters: ['q2/#'], qos: 2, arrivals: billed, laziness: 0.2 }),
    new BookedConsumer(books, {
      name: 'archive',
      filters: ['q1/#', 'q2/#'],
      qos: 1,
      arrivals: archived,
      laziness: 0.5,
    }),
    member('member-1'),
    member('member-2'),
  ]
  const sleeper = new BookedConsumer(books, { name: 'sleeper', filters: ['q2/#'], qos: 2, arrivals: slept })
  const publishers = [
    ...Q1.map((name) => new BookedPublisher(books, { name, qos: 1, topics: ['q1/x', 'q1/y'], window: 40 })),
    ...Q2.map((name, index) => {
      const topics = [`q2/${name}/x`, `q2/${name}/y`, 'q2/common']
      return new BookedPublisher(books, {
        name,
        qos: 2,
        topics,
        window: 10 + 15 * index,
        isCareless: name === 'careless',
      })
    }),
    new BookedPublisher(books, { name: 'gauge', qos: 1, topics: ['retained/gauge'], window: 8, retain: true }),
  ]
  return { consumers, publishers, sleeper, billed, archived, shared, slept }
}

/** What a new subscriber finds: not older than what was acknowledged before it asked. */
async function checkRetained(books: Books, url: string, isLast: boolean): Promise<void> {
  const known = books.retained.get('retained/gauge')
  if (known === undefined || known.promised === 0) return
  const promised = known.promised
  let found: number | null = null
  const link = new NativeLink(url, {
    receive(packet) {
      if (packet.type === PacketType.PUBLISH && packet.retain) found ??= Number(Buffer.from(packet.payload).toString())
      books.progress()
    },
  })
  const connack = await link.connect('retained-reader', { cleanStart: true, properties: {} })
  if (connack === null) return
  const subscription = { topicFilter: 'retained/#', noLocal: false, retainAsPublished: false } as const
  const subscriptions = [{ ...subscription, qos: 1, retainHandling: 0 } as const]
  link.writer.write({ type: PacketType.SUBSCRIBE, packetId: 1, subscriptions, properties: {} })
  link.flush()
  let isClosed = false
  void link.closed.then(() => {
    isClosed = true
    books.progress()
  })
  await books.until(() => found !== null || isClosed, 5_000)
  link.close()
  if (isClosed && found === null) return
  const isRight = found !== null && found >= promised && found <= known.sent && (!isLast || found === known.sent)
  if (!isRight) books.fail(`retained: found ${found}, acknowledged ${promised}, sent ${known.sent}`)
}

/** In a long run the sleeper is owed more than a queue holds by default, and the rest would rightly be dropped. */
const NO_QUEUE_IS_FULL = {
  TALLYMQ_LIMITS__QUEUE_MESSAGES_MAX: '10000000',
  TALLYMQ_LIMITS__QUEUE_BYTES_MAX: '8GiB',
}

export class World {
  readonly books: Books
  readonly clients: ReturnType<typeof makeClients>
  readonly #t: Test
  readonly #directory: string
  readonly #environment: Record<string, string>
  broker: BrokerProcess | null = null

  /** @param parent directory that gets the broker's. @param environment for the broker's process. */
  constructor(t: Test, random: Random, parent: string, environment: Record<string, string> = {}) {
    this.#t = t
    this.#environment = { ...NO_QUEUE_IS_FULL, ...environment }
    this.#directory = `${parent}/data`
    this.books = new Books(random)
    this.clients = makeClients(this.books)
  }

  /** Started, but now and then it is killed once before it takes connections. */
  async start(): Promise<string> {
    const { random } = this.books
    for (;;) {
      const broker = BrokerProcess.spawn(this.#t, { directory: this.#directory, environment: this.#environment })
      this.broker = broker
      if (this.books.packets > 0 && random.chance(0.1)) {
        await sleep(150 + random.below(300))
        broker.kill()
        await broker.ended
        continue
      }
      await broker.ready()
      return broker.url
    }
  }

  get #all(): readonly (BookedConsumer | BookedPublisher)[] {
    const { consumers, publishers, sleeper } = this.clients
    return [...consumers, ...publishers, sleeper]
  }

  /** Started for the first time; only then do the publishers begin. */
  async begin(): Promise<string> {
    const url = await this.start()
    const { consumers, publishers, sleeper } = this.clients
    for (const consumer of [...consumers, sleeper]) {
      await consumer.connect(url)
      await consumer.subscribe()
    }
    await Promise.all(publishers.map((publisher) => publisher.connect(url)))
    return url
  }

  async connectAll(url: string): Promise<void> {
    const { random } = this.books
    const clients = this.#all.filter((client) => client !== this.clients.sleeper || random.chance(0.2))
    clients.sort(() => random.next() - 0.5)
    await Promise.all(clients.map((client) => client.connect(url)))
  }

  async receives(packets: number): Promise<void> {
    const { books } = this
    const end = books.packets + packets
    const hasMoved = await books.until(() => books.packets >= end)
    if (!hasMoved && books.breach === null) books.fail('nobody got anything for ten seconds')
  }

  /** Resolves when the process has ended and every connection has noticed. */
  async end(signal: NodeJS.Signals): Promise<{ result: CliResult; ends: readonly LinkEnd[] }> {
    if (this.broker === null) throw new Error('no broker was started')
    const wereOpen = this.#all.filter((client) => client.isConnected)
    this.broker.signal(signal)
    const result = await this.broker.ended
    await Promise.all(this.#all.map((client) => client.closed))
    const ends = await Promise.all(wereOpen.map((client) => client.closed))
    return { result, ends: ends.filter((end) => end !== null) }
  }

  /** Publishers finish what they have begun, consumers get everything that is owed to them. */
  async drain(url: string): Promise<void> {
    const { books } = this
    const { consumers, publishers, sleeper, billed, archived, shared, slept } = this.clients
    for (const publisher of publishers) publisher.isRunning = false
    await Promise.all(this.#all.map((client) => client.connect(url)))
    for (const consumer of consumers) consumer.catchUp()
    await books.until(() => publishers.every(({ isIdle }) => isIdle))
    const isComplete = () => {
      if (![...consumers, sleeper].every(({ open }) => open === 0)) return false
      const hasQ2 = books.hasAll(billed, Q2) && books.hasAll(shared, Q2) && books.hasAll(slept, Q2)
      return hasQ2 && books.hasAll(archived, [...Q1, ...Q2])
    }
    await books.until(isComplete)
    await checkRetained(books, url, true)
  }

  /** After `drain`. */
  check(t: Test, context: string): void {
    const { books } = this
    const { publishers, billed, archived, shared, slept } = this.clients
    t.doesNotThrow(() => books.check(billed, Q2), `billing: each message once (${context})`)
    t.doesNotThrow(() => books.check(archived, [...Q1, ...Q2]), `archive: at least once (${context})`)
    t.doesNotThrow(() => books.check(shared, Q2), `share group: each message once (${context})`)
    t.doesNotThrow(() => books.check(slept, Q2), `sleeper: each message once (${context})`)
    const areIdle = publishers.every(({ isIdle }) => isIdle)
    t.ok(areIdle, `every publication was answered (${context})`)
  }

  get published(): number {
    return this.clients.publishers.reduce((sum, { book }) => sum + book.sent, 0)
  }
}
