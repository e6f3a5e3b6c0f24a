/**
 * The broker on a disk that breaks under load: a flush that fails, and one that never returns. Either way nothing is
 * acknowledged any more, the clients are told, the process ends non-zero, and what was acknowledged before is kept.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ArrivalBook, Books } from '../support/books.js'
import { BookedConsumer } from '../support/books-consumer.js'
import { BookedPublisher } from '../support/books-publisher.js'
import { BrokerProcess } from '../support/broker-process.js'
import { needs } from '../support/peers.js'
import { Random } from '../support/random.js'

const SOURCE = new URL('../support/faulty-disk.c', import.meta.url).pathname
const COMMIT_TIMEOUT_MS = 500
const compiler = process.platform === 'linux' ? needs('gcc') : { skip: 'preloading is done on Linux only' }

async function breakUnderLoad(t: Test, order: 'eio' | 'stall') {
  const parent = t.testdir()
  const library = `${parent}/faulty-disk.so`
  const compiled = spawnSync('gcc', ['-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl'], { encoding: 'utf8' })
  t.equal(compiled.status, 0, compiled.stderr)
  const orders = `${parent}/orders`
  writeFileSync(orders, '-')
  const directory = `${parent}/data`
  const environment = {
    LD_PRELOAD: library,
    FAULTY_DISK: orders,
    TALLYMQ_STORAGE__COMMIT_TIMEOUT_MS: String(COMMIT_TIMEOUT_MS),
  }
  const broker = await BrokerProcess.start(t, { directory, environment })
  const books = new Books(new Random(1))
  const arrivals = new ArrivalBook('archive')
  const archive = new BookedConsumer(books, { name: 'archive', filters: ['q1/#', 'q2/#'], qos: 1, arrivals })
  await archive.connect(broker.url)
  await archive.subscribe()
  const publishers = [
    new BookedPublisher(books, { name: 'q1', qos: 1, topics: ['q1/a'], window: 50 }),
    new BookedPublisher(books, { name: 'q2', qos: 2, topics: ['q2/a'], window: 50 }),
  ]
  for (const publisher of publishers) await publisher.connect(broker.url)
  t.ok(await books.until(() => publishers.every(({ book }) => book.promised.size > 100)), 'there is load')
  writeFileSync(orders, order)
  const brokenAtMs = performance.now()
  const ends = await Promise.all([...publishers, archive].map(({ closed }) => closed))
  const result = await broker.ended
  const tookMs = performance.now() - brokenAtMs
  for (const end of ends) {
    t.equal(end?.closeCode, 3004)
    t.equal(end?.disconnect?.reasonCode, ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR)
  }
  t.same([result.exitCode, result.signal], order === 'eio' ? [70, null] : [null, 'SIGKILL'])

  const again = await BrokerProcess.start(t, { directory })
  await Promise.all([archive, ...publishers].map((client) => client.connect(again.url)))
  for (const publisher of publishers) publisher.isRunning = false
  await books.until(() => publishers.every(({ isIdle }) => isIdle))
  await books.until(() => books.hasAll(arrivals, ['q1', 'q2']))
  t.doesNotThrow(() => books.check(arrivals, ['q1', 'q2']), 'what was acknowledged is there')
  t.equal((await again.stop()).exitCode, 0)
  return { errors: result.errors, tookMs }
}

t.test(
  'a flush that fails: the clients are told, the process ends, nothing acknowledged is lost',
  compiler,
  async (t) => {
    const { errors } = await breakUnderLoad(t, 'eio')
    t.match(errors, /writing the store in .* failed: /)
  },
)

t.test('a flush that never returns is given up in time, and the process ends all the same', compiler, async (t) => {
  const { errors, tookMs } = await breakUnderLoad(t, 'stall')
  t.match(errors, new RegExp(`not settled within ${COMMIT_TIMEOUT_MS} ms`))
  t.ok(tookMs >= COMMIT_TIMEOUT_MS, `${Math.round(tookMs)} ms`)
})
