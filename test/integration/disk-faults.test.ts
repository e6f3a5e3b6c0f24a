/**
 * The broker on a disk that breaks under load: a flush that fails, and one that never returns. Either way nothing is
 * acknowledged any more, the clients are told, the process ends non-zero, and what was acknowledged before is kept.
 */
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { readSlotHead } from '../../src/storage/lmdb/journal/slot-format.js'
import { slotNames } from '../../src/storage/lmdb/journal/slot-names.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ArrivalBook, Books } from '../support/books.js'
import { BookedConsumer } from '../support/books-consumer.js'
import { BookedPublisher } from '../support/books-publisher.js'
import { BrokerProcess } from '../support/broker-process.js'
import { type DiskOrder, FaultyDisk, faultyDiskNeeds } from '../support/faulty-disk.js'
import { Random } from '../support/random.js'

const COMMIT_TIMEOUT_MS = 500

/** One that is being made is still without a head. */
function hasJournalFile(directory: string): boolean {
  return slotNames(directory).some((name) => readSlotHead(readFileSync(`${directory}/${name}`)) !== null)
}

async function breakUnderLoad(t: Test, order: DiskOrder, before: DiskOrder = 'works') {
  const parent = t.testdir()
  const disk = new FaultyDisk(parent, before)
  const directory = `${parent}/data`
  const environment = { ...disk.environment, TALLYMQ_STORAGE__COMMIT_TIMEOUT_MS: String(COMMIT_TIMEOUT_MS) }
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
  t.equal(hasJournalFile(directory), before === 'works', 'whether records went into the journal file')
  disk.order(order)
  const brokenAtMs = performance.now()
  const ends = await Promise.all([...publishers, archive].map(({ closed }) => closed))
  const result = await broker.ended
  const tookMs = performance.now() - brokenAtMs
  for (const end of ends) {
    t.equal(end?.closeCode, 3004)
    t.equal(end?.disconnect?.reasonCode, ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR)
  }
  t.same([result.exitCode, result.signal], order === 'stall' ? [null, 'SIGKILL'] : [70, null])

  const again = await BrokerProcess.start(t, { directory })
  await Promise.all([archive, ...publishers].map((client) => client.connect(again.url)))
  for (const publisher of publishers) publisher.isRunning = false
  await books.until(() => publishers.every(({ isIdle }) => isIdle))
  await books.until(() => books.hasAll(arrivals, ['q1', 'q2']))
  t.doesNotThrow(() => books.check(arrivals, ['q1', 'q2']), 'what was acknowledged is there')
  t.equal((await again.stop()).exitCode, 0)
  return { errors: result.errors, tookMs }
}

t.test('a flush that fails: the clients are told, the process ends, nothing is lost', faultyDiskNeeds, async (t) => {
  const { errors } = await breakUnderLoad(t, 'eio')
  t.match(errors, /writing the store in .* failed: /)
})

t.test('the same when a record of the journal cannot be written', faultyDiskNeeds, async (t) => {
  const { errors } = await breakUnderLoad(t, 'meta-eio')
  t.match(errors, /writing the store in .* failed: /)
})

for (const order of ['eio', 'meta-eio'] as const) {
  t.test(`the same, ${order}, when no journal file could be made and LMDB has it all`, faultyDiskNeeds, async (t) => {
    const { errors } = await breakUnderLoad(t, order, 'lmdb-only')
    t.match(errors, /writing the store in .* failed: /)
  })
}

t.test('a flush that never returns is given up in time, and the process ends', faultyDiskNeeds, async (t) => {
  const { errors, tookMs } = await breakUnderLoad(t, 'stall')
  t.match(errors, new RegExp(`not settled within ${COMMIT_TIMEOUT_MS} ms`))
  t.ok(tookMs >= COMMIT_TIMEOUT_MS, `${Math.round(tookMs)} ms`)
})

t.test('a disk that fails from the start: no ready line, a sentence, and later a start', faultyDiskNeeds, async (t) => {
  const directory = t.testdir({ eio: {}, 'meta-eio': {} })
  for (const order of ['eio', 'meta-eio'] as const) {
    const parent = `${directory}/${order}`
    const disk = new FaultyDisk(parent, order)
    const options = { directory: `${parent}/data`, environment: disk.environment }
    const { exitCode, output, errors } = await BrokerProcess.spawn(t, options).ended
    t.ok(exitCode === 1 || exitCode === 70, `${order}: exit code ${exitCode}`)
    t.equal(output, '')
    t.match(errors, /tallymq: .*store in /, order)
    disk.order('works')
    const later = await BrokerProcess.start(t, options)
    t.equal((await later.stop()).exitCode, 0)
  }
})
