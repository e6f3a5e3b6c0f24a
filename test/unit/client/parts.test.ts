/** The small pure pieces, by tables. */
import t from 'tap'
import { Fifo } from '../../../src/client/fifo.js'
import { KeepAlive } from '../../../src/client/keep-alive.js'
import { ReceivedMessage } from '../../../src/client/message.js'
import { PacketIds } from '../../../src/client/packet-ids.js'
import { TALLY_ERROR_CODES, TallyError } from '../../../src/client/tally-error.js'
import { matchedFilter, topicMatches } from '../../../src/client/topic-match.js'

t.test('topic filters match as in MQTT', async (t) => {
  const cases: [string, string, boolean][] = [
    ['a/b', 'a/b', true],
    ['a/b', 'a/bc', false],
    ['a/bc', 'a/b', false],
    ['a/b', 'a', false],
    ['a', 'a/b', false],
    ['a/+', 'a/b', true],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['a/+', 'a/b/c', false],
    ['+/+', '/b', true],
    ['+', '/b', false],
    ['/+', '/b', true],
    ['a/#', 'a', true],
    ['a/#', 'a/b/c', true],
    ['a/#', 'ab', false],
    ['+/#', 'a', true],
    ['#', 'a/b', true],
    ['#', '$SYS/a', false],
    ['+/a', '$SYS/a', false],
    ['$SYS/#', '$SYS/a', true],
    ['a/+/c', 'a/b/c', true],
    ['a/+/c', 'a/b/d', false],
    ['a/+/#', 'a/b', true],
    ['a//b', 'a//b', true],
    ['a//b', 'a/b', false],
  ]
  for (const [filter, name, isMatch] of cases) t.equal(topicMatches(filter, name), isMatch, `${filter} ${name}`)
  t.equal(matchedFilter('$share/group/a/#'), 'a/#')
  t.equal(matchedFilter('a/#'), 'a/#')
})

t.test('packet ids go round, skip what is taken, and say 0 when all are', async (t) => {
  const ids = new PacketIds()
  ids.claim(2)
  ids.claim(2)
  t.same([ids.take(), ids.take()], [1, 3])
  for (let count = 4; count <= 65_535; count += 1) ids.take()
  t.equal(ids.take(), 0)
  ids.release(7)
  ids.release(7)
  t.equal(ids.take(), 7)
  t.equal(ids.take(), 0)
})

t.test('a fifo keeps order over many wraps and forgets what it gave', async (t) => {
  const fifo = new Fifo<number>()
  let next = 0
  let expected = 0
  for (let round = 0; round < 200; round += 1) {
    for (let count = 0; count < 30; count += 1) fifo.push(next++)
    for (let count = 0; count < 29; count += 1) {
      if (fifo.shift() !== expected++) t.fail('out of order')
    }
  }
  t.equal(fifo.length, 200)
  t.equal(fifo.peek(), expected)
  fifo.clear()
  t.equal(fifo.shift(), undefined)
})

t.test('keep-alive 0 is off, and a ping that is on its way is not repeated', async (t) => {
  t.equal(new KeepAlive({ keepAliveSec: 0, nowMs: 0 }).nextTimeoutMs(), Number.POSITIVE_INFINITY)
  const keepAlive = new KeepAlive({ keepAliveSec: 10, nowMs: 0 })
  t.equal(keepAlive.verdict(8_999), 'alive')
  t.equal(keepAlive.verdict(9_000), 'ping')
  keepAlive.pingSent(9_000)
  keepAlive.pingSent(10_000)
  t.equal(keepAlive.verdict(13_999), 'alive')
  t.equal(keepAlive.verdict(14_000), 'dead')
  keepAlive.packetsReceived(14_000)
  keepAlive.packetsSent(12_000)
  t.equal(keepAlive.nextTimeoutMs(), 21_000)
})

t.test('text() refuses what is not UTF-8 instead of repairing it', async (t) => {
  const packet = { type: 3, topicName: 'a', qos: 0, retain: false, dup: false, packetId: 0, properties: null } as const
  const text = (bytes: number[]) => new ReceivedMessage({ ...packet, payload: new Uint8Array(bytes) }, 'a', null).text()
  t.equal(text([0xc3, 0xa9]), 'é')
  t.throws(() => text([0xc3]), TypeError)
})

t.test('an error has a stable code, and names its reason code', async (t) => {
  const error = new TallyError('PUBLISH_REFUSED', 'no', { reasonCode: 0x97, retryable: true })
  t.match(error, { name: 'TallyError', code: 'PUBLISH_REFUSED', reasonCode: 0x97, retryable: true })
  t.match(error.message, /0x97 QUOTA_EXCEEDED/)
  t.equal(new TallyError('CLOSED', 'x').message, 'x')
  for (const meaning of Object.values(TALLY_ERROR_CODES)) t.match(meaning, /^[A-Z].*\.$/)
})
