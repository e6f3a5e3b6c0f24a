/** Retained messages that have expired leave by themselves, a bounded slice per turn, also on disk. */
import t from 'tap'
import { type TestBroker, testBroker } from '../support/test-broker.js'

function retain(host: TestBroker, topicName: string, messageExpiryIntervalSec?: number): void {
  const properties = messageExpiryIntervalSec === undefined ? {} : { properties: { messageExpiryIntervalSec } }
  host.connect('p').publish(topicName, 'x', 1, { retain: true, ...properties })
  host.settle()
}

t.test('nobody asks: an expired one is gone all the same, and makes room for another', async (t) => {
  const host = testBroker({ limits: { retainedMessagesMax: 2 } })
  retain(host, 'kept')
  retain(host, 'short', 10)
  t.equal(host.core.nextTimeoutMs(), host.clock.nowMs() + 10_000, 'the shell is told when')
  host.advance(9_999)
  t.equal(host.core.retainedCount, 2)
  host.advance(1)
  t.equal(host.core.retainedCount, 1)
  t.equal(host.core.state.retainedSweep.nextMs(), Number.POSITIVE_INFINITY, 'nothing else will expire')
  retain(host, 'new')
  t.equal(host.core.retainedCount, 2)
  t.equal(host.core.state.retainedBytes, 'kept'.length + 'new'.length + 2)
  t.same(host.crash().connect('a').subscribe('#').payloads().length, 2, 'also after a restart')
})

t.test('each later one goes too, within a minute of its time', async (t) => {
  const host = testBroker()
  for (const sec of [10, 20, 69, 200]) retain(host, `t/${sec}`, sec)
  retain(host, '$x/15', 15)
  host.advance(10_000)
  t.equal(host.core.retainedCount, 4)
  host.advance(59_999)
  t.equal(host.core.retainedCount, 4, 'the next walk begins a minute after the last')
  host.advance(1)
  t.equal(host.core.retainedCount, 1, 'and takes all there are, $-topics too')
  t.equal(host.core.nextTimeoutMs(), host.clock.nowMs() + 130_000)
  host.advance(130_000)
  t.equal(host.core.retainedCount, 0)
})

t.test('one that was replaced in time stays', async (t) => {
  const host = testBroker()
  retain(host, 't', 10)
  host.advance(5_000)
  retain(host, 't', 100)
  host.advance(5_000)
  t.equal(host.core.retainedCount, 1)
  host.advance(95_000)
  t.equal(host.core.retainedCount, 0)
})

t.test('ten thousand at once go in slices; what comes meanwhile is not forgotten', async (t) => {
  const host = testBroker({ pace: { retainedSweptPerTurn: 100 } })
  const publisher = host.connect('p')
  const properties = { messageExpiryIntervalSec: 10 }
  for (let index = 0; index < 10_000; index += 1) {
    publisher.publish(`t/${index % 100}/${index}`, 'x', 0, { retain: true, properties })
  }
  host.settle()
  host.clock.advance(10_000)
  host.core.handleTimeout(host.clock.nowMs())
  t.equal(host.core.retainedCount, 10_000)
  t.ok(host.core.work(host.clock.nowMs()), 'more is waiting')
  t.equal(host.core.retainedCount, 9_900)
  publisher.publish('late', 'x', 0, { retain: true, properties })
  host.settle()
  t.equal(host.core.retainedCount, 1)
  host.advance(60_000)
  t.equal(host.core.retainedCount, 0)
})

t.test('a restart finds out again what will expire', async (t) => {
  const host = testBroker()
  retain(host, 't', 100)
  const next = host.crash()
  t.equal(next.core.nextTimeoutMs(), next.clock.nowMs() + 100_000)
  next.advance(100_000)
  t.equal(next.core.retainedCount, 0)
})
