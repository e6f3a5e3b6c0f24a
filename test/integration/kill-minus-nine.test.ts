/**
 * The broker killed with SIGKILL at random points under load, again and again, judged by the books of its clients: what
 * was acknowledged is there, QoS 2 once, QoS 1 at least once, in order, retained messages too. `TALLYMQ_KILLS` sets the
 * number of kills, `TALLYMQ_SEED` repeats the choices of one run (where in the broker's work a kill falls is not one).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { ArrivalBook, Books } from '../support/books.js'
import { BookedConsumer } from '../support/books-consumer.js'
import { NativeLink } from '../support/books-link.js'
import { BookedPublisher } from '../support/books-publisher.js'
import { BrokerProcess } from '../support/broker-process.js'
import { Random } from '../support/random.js'

const KILLS = Number(process.env.TALLYMQ_KILLS ?? 50)
const SEED = Number(process.env.TALLYMQ_SEED ?? Date.now() % 1_000_000)
/** Packets that clients get before the broker is killed: from none to a good load. */
const PACKETS_MAX = 6_000

const Q1 = ['q1']
const Q2 = ['q2-a', 'q2-b', 'q2-c', 'careless']

function makeClients(books: Books) {
  const billed = new ArrivalBook('billing')
  const archived = new ArrivalBook('archive')
  const shared = new ArrivalBook('share group')
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
  return { consumers, publishers, billed, archived, shared }
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

class World {
  readonly books: Books
  readonly clients: ReturnType<typeof makeClients>
  readonly #t: Test
  readonly #directory: string
  broker: BrokerProcess | null = null
  killsWhileStarting = 0

  constructor(t: Test, random: Random) {
    this.#t = t
    this.#directory = `${t.testdir()}/data`
    this.books = new Books(random)
    this.clients = makeClients(this.books)
  }

  /** Started, but now and then it is killed once before it takes connections. */
  async start(): Promise<string> {
    const { random } = this.books
    for (;;) {
      const broker = BrokerProcess.spawn(this.#t, { directory: this.#directory })
      this.broker = broker
      if (this.books.packets > 0 && random.chance(0.1)) {
        await sleep(150 + random.below(300))
        broker.kill()
        await broker.ended
        this.killsWhileStarting += 1
        continue
      }
      await broker.ready()
      return broker.url
    }
  }

  async subscribeAll(): Promise<void> {
    const url = await this.start()
    for (const consumer of this.clients.consumers) {
      await consumer.connect(url)
      await consumer.subscribe()
    }
  }

  async connectAll(url: string): Promise<void> {
    const { consumers, publishers } = this.clients
    const random = this.books.random
    const clients = [...consumers, ...publishers].sort(() => random.next() - 0.5)
    await Promise.all(clients.map((client) => client.connect(url)))
  }

  /** Kills the broker once so many packets have come, and waits until every connection has noticed. */
  async killAfter(packets: number): Promise<void> {
    const { books } = this
    const { consumers, publishers } = this.clients
    const end = books.packets + packets
    const hasMoved = await books.until(() => books.packets >= end)
    if (!hasMoved && books.breach === null) books.fail('nobody got anything for ten seconds')
    this.broker?.kill()
    await this.broker?.ended
    await Promise.all([...consumers, ...publishers].map((client) => client.closed))
  }

  async drain(url: string): Promise<void> {
    const { books } = this
    const { consumers, publishers, billed, archived, shared } = this.clients
    for (const publisher of publishers) publisher.isRunning = false
    await this.connectAll(url)
    for (const consumer of consumers) consumer.catchUp()
    await books.until(() => publishers.every(({ isIdle }) => isIdle))
    const isComplete = () => {
      const isThere = books.hasAll(billed, Q2) && books.hasAll(archived, [...Q1, ...Q2]) && books.hasAll(shared, Q2)
      return isThere && consumers.every(({ open }) => open === 0)
    }
    await books.until(isComplete)
  }
}

t.test(`killed ${KILLS} times under load, nothing acknowledged is lost and QoS 2 comes once`, async (t) => {
  t.comment(`seed ${SEED}`)
  const random = new Random(SEED)
  const world = new World(t, random)
  const { books, clients } = world
  await world.subscribeAll()
  const startedAt = Date.now()
  let kills = 0
  for (; kills < KILLS && books.breach === null; kills += 1) {
    const url = kills === 0 ? (world.broker?.url ?? '') : await world.start()
    const killed = world.killAfter(random.chance(0.2) ? random.below(40) : random.below(PACKETS_MAX))
    if (kills === 0) await Promise.all(clients.publishers.map((publisher) => publisher.connect(url)))
    else await Promise.all([world.connectAll(url), checkRetained(books, url, false)])
    await killed
  }
  const context = `seed ${SEED}, after kill ${kills}`
  t.equal(books.breach, null, `${books.breach?.message ?? 'no breach while running'} (${context})`)
  const url = await world.start()
  await world.drain(url)
  await checkRetained(books, url, true)
  t.doesNotThrow(() => books.check(clients.billed, Q2), `billing: each message once (${context})`)
  t.doesNotThrow(() => books.check(clients.archived, [...Q1, ...Q2]), `archive: at least once (${context})`)
  t.doesNotThrow(() => books.check(clients.shared, Q2), `share group: each message once (${context})`)
  t.ok(
    clients.publishers.every(({ isIdle }) => isIdle),
    'every publication was answered',
  )
  const published = clients.publishers.reduce((sum, { book }) => sum + book.sent, 0)
  t.ok(published > KILLS * 20, `there was load: ${published} messages`)
  t.comment(`${kills} kills, ${world.killsWhileStarting} more while starting, ${published} messages published, `)
  t.comment(`${books.deliveries} deliveries, ${Date.now() - startedAt} ms`)
})
