/**
 * The broker on a disk that fills up under load: acknowledgements stop, the clients are told, the process ends and says
 * why; with space again everything that was acknowledged is there.
 */
import t from 'tap'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { ArrivalBook, Books } from '../support/books.js'
import { BookedConsumer } from '../support/books-consumer.js'
import { BookedPublisher } from '../support/books-publisher.js'
import { BrokerProcess } from '../support/broker-process.js'
import { Random } from '../support/random.js'
import { smallDisk } from '../support/small-disk.js'

t.test('a full disk stops the broker, and with space again nothing acknowledged is missing', async (t) => {
  const disk = smallDisk(t, 8)
  if (typeof disk === 'string') {
    t.pass('skipped', { skip: disk })
    return
  }
  const directory = `${disk.directory}/data`
  const broker = await BrokerProcess.start(t, { directory })
  const books = new Books(new Random(1))
  const arrivals = new ArrivalBook('archive')
  const archive = new BookedConsumer(books, { name: 'archive', filters: ['q1/#', 'q2/#'], qos: 1, arrivals })
  await archive.connect(broker.url)
  await archive.subscribe()
  archive.disconnect()
  await archive.closed
  const names = ['q1', 'q2']
  const publishers = [
    new BookedPublisher(books, { name: 'q1', qos: 1, topics: ['q1/a', 'q1/b'], window: 200 }),
    new BookedPublisher(books, { name: 'q2', qos: 2, topics: ['q2/a', 'q2/b'], window: 100 }),
  ]
  for (const publisher of publishers) await publisher.connect(broker.url)
  for (const publisher of publishers) {
    const end = await publisher.closed
    t.equal(end?.closeCode, 3004, `${publisher.book.name} is told by the close code`)
    t.equal(end?.disconnect?.reasonCode, ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, 'and by DISCONNECT')
  }
  const { exitCode, errors } = await broker.ended
  t.equal(exitCode, 70)
  t.match(errors, /no space left for the store in /)
  const logLines = errors.split('\n').filter((line) => line.startsWith('{'))
  t.equal(logLines.length, 1, 'one line in the log')
  t.match(JSON.parse(logLines[0] ?? '{}'), { level: 60, err: { code: 'STORE_FULL', message: /no space left/ } })
  const promised = publishers.map(({ book }) => book.promised.size)
  t.ok(
    promised.every((messages) => messages > 500),
    `acknowledged until then: ${promised}`,
  )

  disk.grow(64)
  const again = await BrokerProcess.start(t, { directory })
  await archive.connect(again.url)
  await books.until(() => books.hasAll(arrivals, names))
  t.doesNotThrow(() => books.check(arrivals, names), 'everything acknowledged is there')
  for (const publisher of publishers) {
    await publisher.connect(again.url)
    publisher.isRunning = false
  }
  await books.until(() => publishers.every(({ isIdle }) => isIdle))
  await books.until(() => books.hasAll(arrivals, names))
  t.doesNotThrow(() => books.check(arrivals, names), 'and what was sent again, once at QoS 2')
  t.equal((await again.stop()).exitCode, 0)
})
