/**
 * Data directories that a broker must not touch, as somebody who starts one sees it: a sentence that says what to do,
 * a non-zero exit, and nothing changed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { ArrivalBook, Books } from '../support/books.js'
import { BookedConsumer } from '../support/books-consumer.js'
import { BookedPublisher } from '../support/books-publisher.js'
import { BrokerProcess } from '../support/broker-process.js'
import { Random } from '../support/random.js'

function makeClients() {
  const books = new Books(new Random(1))
  const arrivals = new ArrivalBook('archive')
  const archive = new BookedConsumer(books, { name: 'archive', filters: ['q2/#'], qos: 2, arrivals })
  const publisher = new BookedPublisher(books, { name: 'q2', qos: 2, topics: ['q2/a'], window: 20 })
  return { books, arrivals, archive, publisher }
}

t.test('a second broker on a directory in use is refused, the first goes on, and inherits nothing', async (t) => {
  const directory = `${t.testdir()}/data`
  const first = await BrokerProcess.start(t, { directory })
  const { books, arrivals, archive, publisher } = makeClients()
  await archive.connect(first.url)
  await archive.subscribe()
  await publisher.connect(first.url)
  for (const signal of ['SIGCONT', 'SIGSTOP'] as const) {
    first.signal(signal)
    const { exitCode, output, errors } = await BrokerProcess.spawn(t, { directory }).ended
    t.equal(exitCode, 1)
    t.equal(output, '')
    t.match(errors, new RegExp(`tallymq: ${directory} is in use by process ${first.pid}`))
  }
  first.signal('SIGCONT')
  const before = publisher.book.promised.size
  t.ok(await books.until(() => publisher.book.promised.size > before + 100), 'the first goes on')
  first.kill()
  await first.ended
  await Promise.all([archive.closed, publisher.closed])
  const next = await BrokerProcess.start(t, { directory })
  publisher.isRunning = false
  await Promise.all([archive.connect(next.url), publisher.connect(next.url)])
  await books.until(() => publisher.isIdle && books.hasAll(arrivals, ['q2']))
  t.doesNotThrow(() => books.check(arrivals, ['q2']))
})

t.test('a directory of a newer format is refused, names who wrote it, and stays as it is', async (t) => {
  const directory = `${t.testdir()}/data`
  const { books, arrivals, archive, publisher } = makeClients()
  const first = await BrokerProcess.start(t, { directory })
  await archive.connect(first.url)
  await archive.subscribe()
  archive.disconnect()
  await publisher.connect(first.url)
  await books.until(() => publisher.book.promised.size > 50)
  publisher.isRunning = false
  await books.until(() => publisher.isIdle)
  t.equal((await first.stop()).exitCode, 0)

  const path = `${directory}/store.json`
  const original = readFileSync(path, 'utf8')
  const newer = JSON.stringify({ ...JSON.parse(original), format: 99, writtenBy: 'tallymq 9.9.9' })
  writeFileSync(path, newer)
  const { exitCode, output, errors } = await BrokerProcess.spawn(t, { directory }).ended
  t.equal(exitCode, 1)
  t.equal(output, '')
  t.match(errors, /tallymq: .* has store format 99, written by tallymq 9\.9\.9; .*Run tallymq 9\.9\.9 or newer/)
  t.equal(readFileSync(path, 'utf8'), newer)

  writeFileSync(path, original)
  const again = await BrokerProcess.start(t, { directory })
  await archive.connect(again.url)
  await books.until(() => books.hasAll(arrivals, ['q2']))
  t.doesNotThrow(() => books.check(arrivals, ['q2']))
})

t.test('a directory of something else, a file, and a damaged description are refused', async (t) => {
  const parent = t.testdir({
    photos: { 'a.jpg': '' },
    file: '',
    damaged: { 'store.json': '{"format":', 'data.mdb': '' },
  })
  for (const [name, sentence] of [
    ['photos', /photos is not empty and holds no store; choose/],
    ['file', /file/],
    ['damaged', /store\.json is damaged/],
  ] as const) {
    const { exitCode, output, errors } = await BrokerProcess.spawn(t, { directory: `${parent}/${name}` }).ended
    t.equal(exitCode, 1, name)
    t.equal(output, '')
    t.match(errors, sentence)
    t.notMatch(errors, /\n\s+at /, 'no stack trace')
  }
})

t.test(
  'a directory that cannot be made is refused at once',
  { skip: !existsSync('/proc/self') && 'no /proc' },
  async (t) => {
    // Below /proc `mkdir` says ENOENT although /proc is there, and Node's own recursive mkdir tries for ever.
    const { exitCode, errors } = await BrokerProcess.spawn(t, { directory: '/proc/tallymq/data' }).ended
    t.equal(exitCode, 1)
    t.match(errors, /tallymq: cannot open the store in \/proc\/tallymq\/data: ENOENT/)
  },
)
