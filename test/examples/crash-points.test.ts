/**
 * The two examples, killed between every two steps: what the publisher's own transactions hold is what the consumer's
 * hold in the end, once and in order. The names P1 to P7, D1 and C1 to C3 are those of the list of crash points that
 * the design began with: P is the publisher, D the delivery, C the consumer.
 */
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Client, DeliveryCursor, Message, Producer, TallyError } from '../../src/client/index.js'
import { PacketType } from '../../src/protocol/packets.js'
import { CrashStage, type StageProcess } from '../support/crash-stage.js'
import { Bill, type Connecting, hearReadings, Meter, sendReadings } from './meter-lmdb.js'
import { sendOrders, Shop, shipOrders, Warehouse } from './orders-sqlite.js'

interface Source {
  note(text: string, lastThought?: () => void): void
  noted(): string[]
  send(options: Connecting): Promise<{ client: Client; producer: Producer }>
  close(): void | Promise<void>
}
interface Sink {
  take: (message: Message, sessionNumber: number, lastThought?: () => void) => void
  taken(): string[]
  cursor(): DeliveryCursor | null
  receive(options: Connecting): Promise<Client>
  close(): void | Promise<void>
}
interface Example {
  readonly name: string
  source(directory: string): Source
  sink(directory: string): Sink
}

const SQLITE: Example = {
  name: 'SQLite',
  source: (directory) => {
    const shop = new Shop(join(directory, 'shop.db'))
    return {
      note: (text, lastThought) => shop.placeOrder(text, lastThought),
      noted: () => shop.orders(),
      send: (options) => sendOrders(shop, options),
      close: () => shop.close(),
    }
  },
  sink: (directory) => {
    const warehouse = new Warehouse(join(directory, 'warehouse.db'))
    return {
      // The test may put something else in its place, which then is what the example calls.
      get take() {
        return warehouse.ship.bind(warehouse)
      },
      set take(take) {
        warehouse.ship = take
      },
      taken: () => warehouse.shipments(),
      cursor: () => warehouse.cursor(),
      receive: (options) => shipOrders(warehouse, options),
      close: () => warehouse.close(),
    }
  },
}

const LMDB: Example = {
  name: 'LMDB',
  source: (directory) => {
    const meter = new Meter(join(directory, 'meter'))
    return {
      note: (text, lastThought) => meter.read(text, lastThought),
      noted: () => meter.readings(),
      send: (options) => sendReadings(meter, options),
      close: () => meter.close(),
    }
  },
  sink: (directory) => {
    const bill = new Bill(join(directory, 'bill'))
    return {
      get take() {
        return bill.add.bind(bill)
      },
      set take(take) {
        bill.add = take
      },
      taken: () => bill.items(),
      cursor: () => bill.cursor(),
      receive: (options) => hearReadings(bill, options),
      close: () => bill.close(),
    }
  },
}

/** A stage, a directory for each end, and whoever runs on it at the moment. */
class World {
  readonly stage = new CrashStage()
  source: Source
  sink: Sink
  publisher: StageProcess | null = null
  consumer: StageProcess | null = null
  producer: Producer | null = null
  readonly errors: TallyError[] = []
  readonly #example: Example
  readonly #root: string
  #copies = 0
  #sourceDirectory: string
  #sinkDirectory: string

  constructor(example: Example, root: string) {
    this.#example = example
    this.#root = root
    this.#sourceDirectory = this.#directory('source')
    this.#sinkDirectory = this.#directory('sink')
    this.source = example.source(this.#sourceDirectory)
    this.sink = example.sink(this.#sinkDirectory)
  }

  async startPublisher(options: Partial<Connecting> = {}): Promise<Producer> {
    const process = this.stage.process()
    this.publisher = process
    const { client, producer } = await this.stage.during(this.source.send({ ...process.options, ...options }))
    client.on('error', (error) => void this.errors.push(error))
    this.producer = producer
    return producer
  }

  async startConsumer(): Promise<Client> {
    const process = this.stage.process()
    this.consumer = process
    return this.stage.during(this.sink.receive(process.options))
  }

  /** SIGKILL of the publisher, and its next start, on its disk as it is or as it was when a copy was made. */
  async restartSource(directory = this.#sourceDirectory): Promise<void> {
    this.publisher?.kill()
    await this.source.close()
    this.#sourceDirectory = directory
    this.source = this.#example.source(directory)
  }

  async restartSink(directory = this.#sinkDirectory): Promise<void> {
    this.consumer?.kill()
    await this.sink.close()
    this.#sinkDirectory = directory
    this.sink = this.#example.sink(directory)
  }

  /** What a disk holds at this moment, in the middle of whatever is going on: a crash image, or a snapshot. */
  copySource(): string {
    return this.#copy(this.#sourceDirectory)
  }

  copySink(): string {
    return this.#copy(this.#sinkDirectory)
  }

  /** Everybody runs, nobody dies: everything arrives. */
  async finish(t: Test, expected: readonly string[]): Promise<void> {
    if (this.producer === null || this.producer.failure !== null) await this.startPublisher()
    await this.stage.during((this.producer as Producer).flush())
    if (this.consumer === null) await this.startConsumer()
    await this.stage.until(() => this.sink.taken().length >= expected.length)
    await this.stage.settle()
    t.same(this.source.noted(), expected, 'what the publisher has noted')
    t.same(this.sink.taken(), expected, 'is what the consumer has, once and in order')
    this.publisher?.kill()
    this.consumer?.kill()
    await this.source.close()
    await this.sink.close()
  }

  #copy(directory: string): string {
    this.#copies += 1
    const copy = this.#directory(`copy-${this.#copies}`)
    cpSync(directory, copy, { recursive: true })
    return copy
  }

  #directory(name: string): string {
    const directory = join(this.#root, name)
    mkdirSync(directory)
    return directory
  }
}

class Died extends Error {}

const dies = () => {
  throw new Died()
}

for (const example of [SQLITE, LMDB]) {
  const crash = (title: string, run: (t: Test, world: World) => Promise<void>) =>
    t.test(`${example.name} ${title}`, async (t) => {
      const world = new World(example, t.testdir())
      // A session for the consumer before there is anything to hear.
      await world.startConsumer()
      await run(t, world)
    })

  crash('P1: before the outbox commit there is no message, and no order either', async (t, world) => {
    world.source.note('1')
    let image = ''
    t.throws(() =>
      world.source.note('2', () => {
        image = world.copySource()
        dies()
      }),
    )
    await world.restartSource(image)
    t.same(world.source.noted(), ['1'])
    world.source.note('3')
    await world.finish(t, ['1', '3'])
  })

  crash('P2: after the outbox commit, before it is sent: sent by the next process', async (t, world) => {
    world.source.note('1')
    const image = world.copySource()
    await world.restartSource(image)
    await world.finish(t, ['1'])
  })

  crash('P3: sent, but not committed by the broker: sent again', async (t, world) => {
    const producer = await world.startPublisher()
    world.stage.held = 'commits'
    world.source.note('1')
    void producer.flush().catch(() => {})
    await world.stage.until(() => world.stage.received.some(({ type }) => type === PacketType.PRODUCE))
    world.stage.crashBroker()
    await world.stage.settle()
    world.publisher?.reconnect()
    world.consumer?.reconnect()
    await world.finish(t, ['1'])
    t.equal(sentBatches(world), 2)
  })

  crash('P3: sent, not committed, and the publisher dies too', async (t, world) => {
    const producer = await world.startPublisher()
    world.stage.held = 'commits'
    world.source.note('1')
    void producer.flush().catch(() => {})
    await world.stage.until(() => sentBatches(world) === 1)
    world.stage.crashBroker()
    await world.restartSource()
    world.consumer?.reconnect()
    world.producer = null
    await world.finish(t, ['1'])
    t.equal(sentBatches(world), 2)
  })

  crash('P4: committed by the broker, the answer never came: not sent again', async (t, world) => {
    const producer = await world.startPublisher()
    world.stage.held = 'answers'
    world.source.note('1')
    void producer.flush().catch(() => {})
    await world.stage.until(() => sentBatches(world) === 1)
    await world.stage.settle()
    await world.restartSource()
    world.stage.held = 'nothing'
    const next = await world.startPublisher()
    t.equal(next.answeredSequence, 1, 'PRODUCER_OPENED says it')
    await world.finish(t, ['1'])
    t.equal(sentBatches(world), 1)
  })

  crash('P5: answered, but not noted in the outbox: as P4', async (t, world) => {
    const producer = await world.startPublisher()
    world.source.note('1')
    await world.stage.during(producer.flush())
    // The note would be made a moment later: the clock of a dead process does not move.
    await world.restartSource()
    const next = await world.startPublisher()
    t.equal(next.answeredSequence, 1)
    t.equal(lastOpening(world)?.confirmedSequence, 0, 'the disk did not know')
    await world.finish(t, ['1'])
    t.equal(sentBatches(world), 1)
  })

  crash('P6: two processes on one outbox: the older one is fenced', async (t, world) => {
    const older = await world.startPublisher()
    world.source.note('1')
    await world.stage.during(older.flush())
    const publisher = world.publisher
    const newer = await world.startPublisher({ clientId: 'a process with another name' })
    await world.stage.until(() => older.failure !== null)
    t.match(older.failure, { code: 'FENCED' })
    world.source.note('2')
    await t.rejects(older.flush(), { code: 'FENCED' })
    await world.stage.during(newer.flush())
    publisher?.kill()
    await world.finish(t, ['1', '2'])
  })

  crash('P7: the publisher is put back to a snapshot: DIVERGED, and nothing is taken twice', async (t, world) => {
    const producer = await world.startPublisher()
    world.source.note('1')
    await world.stage.during(producer.flush())
    const snapshot = world.copySource()
    world.source.note('2')
    await world.stage.during(producer.flush())
    await world.stage.until(() => world.sink.taken().length === 2)
    await world.restartSource(snapshot)
    world.source.note('another 2')
    await t.rejects(world.startPublisher(), { code: 'DIVERGED' })
    await world.stage.settle()
    t.same(world.sink.taken(), ['1', '2'], 'never a message in place of another')
    t.same(world.source.noted(), ['1', 'another 2'], 'nothing of the publisher is touched')
    world.publisher?.kill()
    world.consumer?.kill()
    await world.source.close()
    await world.sink.close()
  })

  crash('D1: delivered, and the consumer dies before it looks at it: delivered again', async (t, world) => {
    const heard = hear(world)
    world.sink.take = (message) => {
      heard.push(message.deliverySequence)
      world.consumer?.kill()
    }
    await world.startPublisher()
    world.source.note('1')
    await world.stage.during((world.producer as Producer).flush())
    await world.stage.until(() => heard.length === 1)
    await world.restartSink()
    hear(world, heard)
    await world.startConsumer()
    await world.finish(t, ['1'])
    t.same(heard, [1, 1], 'the same delivery sequence')
  })

  crash('C1: applied, but the consumer dies before its commit: not applied, delivered again', async (t, world) => {
    const heard: (number | undefined)[] = []
    const { take } = world.sink
    let image = ''
    world.sink.take = (message, sessionNumber) => {
      heard.push(message.deliverySequence)
      world.consumer?.kill()
      take(message, sessionNumber, () => {
        image = world.copySink()
        dies()
      })
    }
    await world.startPublisher()
    world.source.note('1')
    await world.stage.during((world.producer as Producer).flush())
    await world.stage.until(() => heard.length === 1)
    await world.restartSink(image)
    t.same(world.sink.taken(), [])
    t.equal(world.sink.cursor(), null)
    hear(world, heard)
    await world.startConsumer()
    await world.finish(t, ['1'])
    t.same(heard, [1, 1])
  })

  crash('C2: committed, but not acknowledged: the cursor says so, and it does not come again', async (t, world) => {
    const heard: (number | undefined)[] = []
    const { take } = world.sink
    world.sink.take = (message, sessionNumber) => {
      take(message, sessionNumber)
      heard.push(message.deliverySequence)
      if (heard.length === 2) world.consumer?.kill()
    }
    await world.startPublisher()
    world.source.note('1')
    world.source.note('2')
    await world.stage.during((world.producer as Producer).flush())
    await world.stage.until(() => heard.length === 2)
    const image = world.copySink()
    await world.restartSink(image)
    t.match(world.sink.cursor(), { deliverySequence: 2 })
    hear(world, heard)
    world.source.note('3')
    await world.stage.during((world.producer as Producer).flush())
    await world.startConsumer()
    await world.finish(t, ['1', '2', '3'])
    t.same(heard, [1, 2, 3])
  })

  crash('C3: acknowledged, but the broker dies before it commits that: skipped', async (t, world) => {
    const heard = hear(world)
    await world.startPublisher()
    world.source.note('1')
    const flushed = (world.producer as Producer).flush()
    const { take } = world.sink
    world.sink.take = (message, sessionNumber) => {
      world.stage.held = 'commits'
      take(message, sessionNumber)
    }
    await world.stage.during(flushed)
    const isReceipt = ({ type }: { type: number }) => type === PacketType.PUBREC
    await world.stage.until(() => world.stage.received.some(isReceipt))
    await world.stage.settle()
    world.stage.crashBroker()
    world.sink.take = take
    await world.stage.settle()
    world.publisher?.reconnect()
    world.consumer?.reconnect()
    world.source.note('2')
    await world.finish(t, ['1', '2'])
    t.same(heard, [1, 2])
  })

  crash('C3: and the consumer dies with it', async (t, world) => {
    const { take } = world.sink
    world.sink.take = (message, sessionNumber) => {
      world.stage.held = 'commits'
      take(message, sessionNumber)
    }
    await world.startPublisher()
    world.source.note('1')
    void (world.producer as Producer).flush().catch(() => {})
    const isReceipt = ({ type }: { type: number }) => type === PacketType.PUBREC
    await world.stage.until(() => world.stage.received.some(isReceipt))
    world.stage.crashBroker()
    await world.restartSink()
    const heard = hear(world)
    world.publisher?.reconnect()
    world.source.note('2')
    await world.startConsumer()
    await world.finish(t, ['1', '2'])
    t.same(heard, [2])
  })
}

/** Notes what is handed over, and hands it on. */
function hear(world: World, heard: (number | undefined)[] = []): (number | undefined)[] {
  const { take } = world.sink
  world.sink.take = (message, sessionNumber) => {
    heard.push(message.deliverySequence)
    take(message, sessionNumber)
  }
  return heard
}

function sentBatches(world: World): number {
  return world.stage.received.filter(({ type }) => type === PacketType.PRODUCE).length
}

function lastOpening(world: World) {
  const openings = world.stage.received.flatMap((packet) => (packet.type === PacketType.PRODUCER_OPEN ? [packet] : []))
  return openings.at(-1)
}
