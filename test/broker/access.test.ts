/** The access port: what is asked, when, and what follows from a no [issue: authorisation on every delivery]. */
import t from 'tap'
import { utf8Encode } from '../../src/base/utf8.js'
import type { Access } from '../../src/core/ports/access.js'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { testBroker } from '../support/test-broker.js'

/** Notes what it is asked; forbids what is in `forbidden`: `'action topic'`, optionally with `'clientId '` in front. */
function rules(): Access & { asked: string[]; forbidden: Set<string> } {
  const asked: string[] = []
  const forbidden = new Set<string>()
  return {
    asked,
    forbidden,
    allowsEverything: false,
    authenticate: ({ connect }) => ({ accepted: true, username: connect.username ?? null }),
    authorize: ({ clientId }, action, topic) => {
      asked.push(`${clientId} ${action} ${topic}`)
      return !forbidden.has(`${action} ${topic}`) && !forbidden.has(`${clientId} ${action} ${topic}`)
    },
  }
}

t.test('each publish is asked for, each delivery again, at every QoS', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const access = rules()
    const host = testBroker({ access })
    host.connect('a').subscribe('t', qos)
    access.asked.length = 0
    host.connect('b').publish('t', 'x', qos)
    host.settle()
    t.same(access.asked, ['b publish t', 'a receive t'], `QoS ${qos}`)
  }
})

t.test('a publish that is not allowed: 0x87, no delivery, nothing retained, the connection stays', async (t) => {
  const access = rules()
  access.forbidden.add('publish t')
  const host = testBroker({ access })
  const watcher = host.connect('a').subscribe('t', 2)
  const publisher = host.connect('b')
  for (const qos of [0, 1, 2] as const) publisher.publish('t', 'x', qos, { retain: true })
  host.settle()
  t.equal(publisher.take('PUBACK')[0]?.reasonCode, ReasonCode.NOT_AUTHORIZED)
  t.equal(publisher.take('PUBREC')[0]?.reasonCode, ReasonCode.NOT_AUTHORIZED)
  t.same(watcher.take('PUBLISH'), [])
  t.equal(host.core.retainedCount, 0)
  t.equal(publisher.connection.state, 'connected')
  t.equal(host.core.counters.publishesRefused, 3)
})

t.test('a topic behind an alias is asked for by its name', async (t) => {
  const access = rules()
  const host = testBroker({ access })
  const publisher = host.connect('b')
  publisher.publish('t', 'x', 1, { properties: { topicAlias: 1 } })
  access.forbidden.add('publish t')
  publisher.publish('', 'x', 1, { properties: { topicAlias: 1 } })
  host.settle()
  t.equal(publisher.take('PUBACK')[1]?.reasonCode, ReasonCode.NOT_AUTHORIZED)
})

t.test('a delivery that is not allowed is dropped for that one and counted, at every QoS', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const access = rules()
    access.forbidden.add('a receive t/secret')
    const host = testBroker({ access })
    const a = host.connect('a').subscribe('t/#', qos)
    const b = host.connect('b').subscribe('t/#', qos)
    const publisher = host.connect('publisher')
    publisher.publish('t/secret', 'secret', qos)
    publisher.publish('t/open', 'open', qos)
    t.same(a.drain(), ['open'], `QoS ${qos}`)
    t.same(b.drain(), ['secret', 'open'])
    t.equal(host.core.counters.dropped['not-authorized'], 1)
  }
})

t.test('retained messages are asked for one by one', async (t) => {
  for (const qos of [0, 1] as const) {
    const access = rules()
    access.forbidden.add('receive t/2')
    const host = testBroker({ access })
    const publisher = host.connect('publisher')
    for (const topicName of ['t/1', 't/2', 't/3']) publisher.publish(topicName, topicName, 1, { retain: true })
    host.settle()
    t.same(host.connect('a').subscribe('t/#', qos).drain(), ['t/1', 't/3'])
  }
})

t.test(
  'a right taken away while messages wait: they are dropped, counted and told, also after a restart',
  async (t) => {
    const access = rules()
    let host = testBroker({ access })
    host.resume('a').subscribe('t/#', 1).cut()
    const publisher = host.connect('publisher')
    for (const topicName of ['t/secret', 't/open', 't/secret']) publisher.publish(topicName, topicName, 1)
    host.settle()
    access.forbidden.add('a receive t/secret')
    host = host.crash()
    const client = host.resume('a')
    t.same(client.drain(), ['t/open'])
    t.equal(host.core.counters.dropped['not-authorized'], 2)
    client.cut()
    t.same(host.resume('a').take('CONNACK')[0]?.resume?.lost, [{ reason: 'not-authorized', messages: 2 }])
  },
)

t.test('a right taken away stops live deliveries through a subscription that was allowed', async (t) => {
  const access = rules()
  const host = testBroker({ access })
  const client = host.connect('a').subscribe('t', 0)
  const publisher = host.connect('b')
  publisher.publish('t', 'before')
  access.forbidden.add('a receive t')
  publisher.publish('t', 'after')
  host.settle()
  t.same(client.payloads(), ['before'])
})

t.test('the Will is asked for at CONNECT and again when it is sent', async (t) => {
  const access = rules()
  const host = testBroker({ access })
  const will = { topicName: 'w', payload: utf8Encode('x'), qos: 1 as const, retain: false, properties: {} }
  const client = host.connect('a', { will })
  t.same(access.asked, ['a publish w'])
  client.cut()
  t.same(access.asked, ['a publish w', 'a publish w'])
})

t.test('in a share group what one member may not have is not lost for lack of asking', async (t) => {
  const access = rules()
  const host = testBroker({ access })
  const a = host.connect('a').subscribe('$share/g/t', 1)
  access.forbidden.add('a receive t')
  host.connect('b').publish('t', 'x', 1)
  host.settle()
  t.same(a.take('PUBLISH'), [])
  t.equal(host.core.counters.dropped['not-authorized'], 1)
})

t.test('where everything is allowed nothing is asked', async (t) => {
  const access = { ...rules(), allowsEverything: true }
  const host = testBroker({ access })
  const client = host.connect('a').subscribe('t', 1)
  client.publish('t', 'x', 1)
  host.settle()
  t.same(client.payloads(), ['x'])
  t.same(access.asked, [])
})
