/** `$SYS/broker`: found by who subscribes, told to who is there, written nowhere. */
import t from 'tap'
import { publishSystemTopic } from '../../src/core/system-topics.js'
import { type TestBroker, testBroker } from '../support/test-broker.js'

const say = (broker: TestBroker, text: string, topicName = '$SYS/broker/uptime') => {
  publishSystemTopic(broker.core.state, topicName, text)
  broker.settle()
}

t.test('a subscriber finds the last value with RETAIN set, and gets the next ones as they come', async (t) => {
  const broker = testBroker()
  say(broker, '0 seconds')
  say(broker, '10 seconds')
  say(broker, '0', '$SYS/broker/retained messages/count')
  const a = broker.connect('a').subscribe('$SYS/#', 2)
  t.same(
    a.take('PUBLISH').map(({ topicName, qos, retain }) => [topicName, qos, retain]),
    [
      ['$SYS/broker/uptime', 0, true],
      ['$SYS/broker/retained messages/count', 0, true],
    ],
  )
  say(broker, '20 seconds')
  t.match(a.take('PUBLISH'), [{ retain: false, qos: 0, payload: Buffer.from('20 seconds') }])
  a.subscribe('$SYS/broker/+', 0, { retainAsPublished: true, retainHandling: 2 }).unsubscribe('$SYS/#')
  say(broker, '30 seconds')
  t.match(a.take('PUBLISH'), [{ retain: true }])
})

t.test('filters that begin with a wildcard find none of it, and nobody else may write it', async (t) => {
  const broker = testBroker()
  say(broker, '0 seconds')
  const a = broker.connect('a').subscribe('#').subscribe('+/broker/uptime').subscribe('+/#')
  say(broker, '10 seconds')
  t.same(a.payloads(), [])
  const packetId = a.publish('$SYS/broker/uptime', 'lie', 1, { retain: true })
  broker.settle()
  t.match(a.take('PUBACK'), [{ packetId, reasonCode: 0x87 }])
  t.same(a.subscribe('$SYS/broker/uptime').payloads(), ['10 seconds'])
})

t.test('refreshing makes no commit, with nobody there, somebody there, and somebody away', async (t) => {
  const broker = testBroker()
  broker.resume('away').subscribe('$SYS/#', 1).cut()
  const there = broker.resume('there').subscribe('$SYS/#', 1)
  broker.settle()
  const { commits } = broker
  const { nextMessageId } = broker.core.state
  for (let second = 0; second < 100; second += 10) say(broker, `${second} seconds`)
  t.equal(there.payloads().length, 10)
  t.equal(broker.commits, commits)
  t.equal(broker.core.state.nextMessageId, nextMessageId)
  t.equal(broker.core.retainedCount, 0, 'it counts towards no limit')
  t.equal(broker.crash().core.state.systemTopics.size, 0)
})
