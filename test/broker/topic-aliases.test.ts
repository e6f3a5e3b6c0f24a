/** Topic aliases in and out, as a client sees them [v5 3.3.2.3.4]. */
import t from 'tap'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { type Received, testBroker } from '../support/test-broker.js'

/** What a client makes of what it receives, in order; throws where it would have to close. */
function topicsOf(publishes: readonly Received<'PUBLISH'>[], aliases: Map<number, string>, aliasMaximum: number) {
  return publishes.map(({ topicName, properties }) => {
    const alias = properties?.topicAlias
    if (alias === undefined) return topicName
    if (alias < 1 || alias > aliasMaximum) throw new Error(`alias ${alias} is out of bounds`)
    if (topicName !== '') aliases.set(alias, topicName)
    const known = aliases.get(alias)
    if (known === undefined) throw new Error(`alias ${alias} stands for nothing`)
    return known
  })
}

t.test('in: an alias stands for its topic until it is set anew', async (t) => {
  const host = testBroker()
  const watcher = host.connect('watcher').subscribe('#')
  const client = host.connect('a')
  client.publish('t', '1', 0, { properties: { topicAlias: 1 } })
  client.publish('', '2', 0, { properties: { topicAlias: 1 } })
  client.publish('u', '3', 0, { properties: { topicAlias: 1 } })
  client.publish('', '4', 0, { properties: { topicAlias: 1 } })
  host.settle()
  const publishes = watcher.take('PUBLISH')
  t.same(
    publishes.map(({ topicName }) => topicName),
    ['t', 't', 'u', 'u'],
  )
  t.ok(
    publishes.every(({ properties }) => properties === null),
    'the alias is not passed on',
  )
})

t.test('in: 0, one above the maximum, and any where none is allowed are 0x94', async (t) => {
  for (const [topicAliasMaximum, topicAlias] of [
    [10, 0],
    [10, 11],
    [0, 1],
  ] as const) {
    const host = testBroker({ limits: { topicAliasMaximum } })
    const client = host.connect('a')
    client.publish('t', 'x', 1, { properties: { topicAlias } })
    host.settle()
    t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.TOPIC_ALIAS_INVALID, `${topicAlias}`)
  }
})

t.test('in: no topic and no alias, or one that stands for nothing, are 0x82', async (t) => {
  for (const properties of [null, { topicAlias: 3 }]) {
    const host = testBroker()
    const client = host.connect('a')
    client.publish('', 'x', 1, properties === null ? {} : { properties })
    host.settle()
    t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.PROTOCOL_ERROR)
  }
})

t.test('in: aliases end with the connection', async (t) => {
  const host = testBroker()
  const client = host.resume('a')
  client.publish('t', 'x', 0, { properties: { topicAlias: 1 } })
  client.cut()
  const again = host.resume('a')
  again.publish('', 'x', 0, { properties: { topicAlias: 1 } })
  host.settle()
  t.equal(again.take('DISCONNECT')[0]?.reasonCode, ReasonCode.PROTOCOL_ERROR)
})

t.test('in: a wildcard in an aliased topic is refused like any', async (t) => {
  const host = testBroker()
  const client = host.connect('a')
  client.publish('t/#', 'x', 0, { properties: { topicAlias: 1 } })
  host.settle()
  t.equal(client.take('DISCONNECT')[0]?.reasonCode, ReasonCode.TOPIC_NAME_INVALID)
})

t.test('out: who takes none gets none', async (t) => {
  const host = testBroker()
  const client = host.connect('a').subscribe('#', 1)
  for (let index = 0; index < 5; index += 1) host.connect('b').publish('t', 'x', 1)
  host.settle()
  t.ok(client.take('PUBLISH').every(({ topicName, properties }) => topicName === 't' && properties === null))
})

t.test('out: the client understands every packet, at every QoS mixed, with many topics and few aliases', async (t) => {
  for (const topicAliasMaximum of [1, 2, 3, 10]) {
    const host = testBroker()
    const client = host.connect('a', { properties: { topicAliasMaximum } }).subscribe('#', 2)
    const publisher = host.connect('b')
    const aliases = new Map<number, string>()
    let omitted = 0
    for (let round = 0; round < 40; round += 1) {
      for (let index = 0; index < 6; index += 1) {
        const topicName = `t/${(round * 7 + index * index) % 5}`
        publisher.publish(topicName, topicName, ((round + index) % 3) as 0 | 1 | 2)
      }
      if (round % 3 === 0) host.turn()
      else host.settle()
      const publishes = client.take('PUBLISH')
      omitted += publishes.filter(({ topicName }) => topicName === '').length
      const expected = publishes.map(({ payload }) => new TextDecoder().decode(payload))
      t.same(topicsOf(publishes, aliases, topicAliasMaximum), expected)
    }
    if (topicAliasMaximum === 10) t.ok(omitted > 100, `${omitted} topic names were left out`)
  }
})

t.test('out: a new connection learns its aliases anew', async (t) => {
  const host = testBroker()
  const properties = { topicAliasMaximum: 10 }
  const publisher = host.connect('b')
  let client = host.resume('a', { properties }).subscribe('t', 1)
  for (let index = 0; index < 3; index += 1) publisher.publish('t', 'x', 1)
  host.settle()
  t.same(topicsOf(client.take('PUBLISH'), new Map(), 10), ['t', 't', 't'])
  client = host.resume('a', { properties })
  t.same(topicsOf(client.take('PUBLISH'), new Map(), 10), ['t', 't', 't'])
})

t.test('out: a message that is too large for the client leaves the aliases as they were', async (t) => {
  const host = testBroker()
  const client = host.connect('a', { properties: { topicAliasMaximum: 10, maximumPacketSize: 100 } }).subscribe('#', 1)
  const publisher = host.connect('b')
  for (const qos of [0, 1] as const) {
    publisher.publish('t', 'x'.repeat(200), qos)
    publisher.publish('t', 'small', qos)
  }
  host.settle()
  t.same(topicsOf(client.take('PUBLISH'), new Map(), 10), ['t', 't'])
})
