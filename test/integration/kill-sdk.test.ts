/**
 * The SDK over a broker that is killed with SIGKILL: applications that only call `publish` and `subscribe` at QoS 2
 * count the same messages on both sides. Nothing in here reconnects or repeats anything; the SDK does.
 */
import t from 'tap'
import { type Client, type ConnectOptions, connect, type Message } from '../../src/client/index.js'
import { BrokerProcess } from '../support/broker-process.js'
import { Random } from '../support/random.js'

const KILLS = 10
const SEED = Number(process.env.TALLYMQ_SEED ?? Date.now() % 1_000_000)
const PUBLISHERS = 3
const CALLS_AT_A_TIME = 25
const RECONNECT = { minDelayMs: 20, maxDelayMs: 100 }

/** The application's own books, and a way to wait for them to fill. */
class Received {
  readonly byPublisher = new Map<string, number[]>()
  total = 0
  #watchers: (() => void)[] = []

  take(message: Message): void {
    const [publisher = '', order] = message.text().split(':')
    const orders = this.byPublisher.get(publisher) ?? []
    this.byPublisher.set(publisher, orders)
    orders.push(Number(order))
    this.total += 1
    for (const watch of this.#watchers) watch()
  }

  reaches(total: number): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.total >= total) resolve()
      }
      this.#watchers.push(look)
      look()
    })
  }
}

/** Calls `publish` again as soon as it has resolved, as an application with so many things to say would. */
class Application {
  published = 0
  isRunning = true
  readonly done: Promise<unknown>
  readonly #client: Client
  readonly #name: string

  constructor(client: Client, name: string) {
    this.#client = client
    this.#name = name
    const speak = async () => {
      while (this.isRunning) await this.say()
    }
    this.done = Promise.all(Array.from({ length: CALLS_AT_A_TIME }, speak))
  }

  say(): Promise<unknown> {
    this.published += 1
    return this.#client.publish(`bill/${this.#name}`, `${this.#name}:${this.published}`, { qos: 2 })
  }
}

t.test(`killed ${KILLS} times, what applications published is what they received, each once`, async (t) => {
  const random = new Random(SEED)
  const directory = `${t.testdir()}/data`
  let broker = await BrokerProcess.start(t, { directory })
  const httpPort = broker.port
  const opened = async (clientId: string, options: Partial<ConnectOptions> = {}) => {
    const client = await connect({ url: broker.url, clientId, reconnect: RECONNECT, ...options })
    t.teardown(() => client.close())
    return client
  }
  const received = new Received()
  const errors: string[] = []
  const consumer = await opened('billing')
  consumer.on('error', (error) => void errors.push(error.message))
  await consumer.subscribe('bill/#', { qos: 2, onMessage: (message) => received.take(message) })
  const names = Array.from({ length: PUBLISHERS }, (_, index) => `meter-${index}`)
  const clients = await Promise.all(names.map((name) => opened(name)))
  const applications = clients.map((client, index) => new Application(client, names[index] as string))
  for (let kills = 0; kills < KILLS; kills += 1) {
    await received.reaches(received.total + 1 + random.below(800))
    broker.kill()
    await broker.ended
    broker = await BrokerProcess.start(t, { directory, httpPort })
  }
  for (const application of applications) application.isRunning = false
  await Promise.all(applications.map(({ done }) => done))
  // The last word: what of this application were to come twice has come before it.
  await Promise.all(applications.map((application) => application.say()))
  const published = applications.reduce((sum, application) => sum + application.published, 0)
  await received.reaches(published)
  t.equal(received.total, published, `seed ${SEED}`)
  for (const [index, name] of names.entries()) {
    const expected = Array.from({ length: applications[index]?.published ?? 0 }, (_, order) => order + 1)
    t.same(received.byPublisher.get(name), expected, `${name}: each once, in order`)
  }
  t.same(errors, [])
  t.comment(`seed ${SEED}: ${KILLS} kills, ${published} messages`)
})
