/** MQTT 5.0: what a message carries beside its payload, its expiry, and Topic Aliases in both directions. */
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { hex, P, type Properties, pubcomp, publish, pubrec, pubrel } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { isDup, TYPE, propertyOf, propertiesOf } from '../wire/decode.js'

/** Publishes with these properties; gives what a live subscriber, an absent one and a later one see. */
async function threeWays(c: Context, properties: Properties) {
  const topic = c.topic(c.id())
  const clientId = c.id()
  const away = await c.subscriber(topic, 1, { clientId, keep: 60 })
  await away.disconnect()
  const live = await c.subscriber(topic, 1)
  await c.retain(topic, 'x', { properties })
  const later = await c.subscriber(topic, 1)
  const back = await c.connect({ clientId, keep: 60 })
  return [await live.message(topic), await back.message(topic), await later.message(topic)]
}

/** The broker's Topic Alias Maximum, or nothing to test. */
function aliasMaximum(c: Context, client: Client): number {
  return c.given(client, P.topicAliasMaximum) || vacuous('the broker takes no Topic Alias here')
}

const alias = (c: Context, topic: string, payload: string, number: number) =>
  publish(c.version, topic, payload, { properties: [[P.topicAlias, number]] })

export const messageProperties: readonly Case[] = [
  {
    title: 'Payload Format Indicator is passed on',
    v5: '3.3.2-4',
    run: async (c) => {
      for (const message of await threeWays(c, [[P.payloadFormat, 1]])) {
        expectSame(propertyOf(message, P.payloadFormat), 1, 'Payload Format Indicator')
      }
    },
  },
  {
    title: 'Payload Format Indicator 0 stays 0 or absent',
    v5: '3.3.2-4',
    run: async (c) => {
      for (const message of await threeWays(c, [[P.payloadFormat, 0]])) {
        expectSame(propertyOf(message, P.payloadFormat) ?? 0, 0, 'Payload Format Indicator')
      }
    },
  },
  {
    title: 'Response Topic is passed on',
    v5: '3.3.2-15',
    run: async (c) => {
      for (const message of await threeWays(c, [[P.responseTopic, 'r/1']])) {
        expectSame(propertyOf(message, P.responseTopic), 'r/1', 'Response Topic')
      }
    },
  },
  {
    title: 'Correlation Data is passed on, byte for byte, also when empty',
    v5: '3.3.2-16',
    run: async (c) => {
      for (const data of [hex('00FF0180'), hex('')]) {
        for (const message of await threeWays(c, [[P.correlationData, data]])) {
          expectSame(propertyOf(message, P.correlationData), data, 'Correlation Data')
        }
      }
    },
  },
  {
    title: 'Content Type is passed on',
    v5: '3.3.2-20',
    run: async (c) => {
      for (const message of await threeWays(c, [[P.contentType, 'text/plain']])) {
        expectSame(propertyOf(message, P.contentType), 'text/plain', 'Content Type')
      }
    },
  },
  {
    title: 'User Properties are passed on, all of them and in their order',
    v5: '3.3.2-17 3.3.2-18',
    run: async (c) => {
      const pairs = ['b=2', 'a=1', 'b=1', 'a=1', '=', 'b=2'].map((each) => each.split('=') as [string, string])
      for (const message of await threeWays(
        c,
        pairs.map((pair) => [P.userProperty, pair]),
      )) {
        expectSame(propertiesOf(message, P.userProperty), pairs, 'User Properties')
      }
    },
  },
  {
    title: 'User Properties are passed on to who does not want Problem Information, too',
    v5: '3.3.2-17 3.1.2-29',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 1, { properties: [[P.requestProblem, 0]] })
      await c.publishOnce(c.topic(), 'x', { properties: [[P.userProperty, ['n', 'v']]] })
      expectSame(propertiesOf(await client.message(), P.userProperty), [['n', 'v']], 'User Properties')
    },
  },
  {
    title: 'a message whose expiry has run out is not delivered from the queue',
    v5: '3.3.2-5',
    isSlow: true,
    run: async (c) => {
      const clientId = c.id()
      const away = await c.subscriber(c.topic(), 1, { clientId, keep: 60 })
      await away.disconnect()
      await c.publishOnce(c.topic(), 'expires', { properties: [[P.messageExpiry, 1]] })
      await c.publishOnce(c.topic(), 'stays')
      await c.wait(2_500)
      const back = await c.connect({ clientId, keep: 60 })
      expectSame((await back.message()).payload.toString(), 'stays', 'the first message')
      await c.nothing(back)
    },
  },
  {
    title: 'a retained message whose expiry has run out is gone',
    v5: '3.3.2-5',
    isSlow: true,
    run: async (c) => {
      const topics = [0, 1, 2].map((qos) => c.topic(String(qos)))
      const properties = [[P.messageExpiry, 1]] as const
      for (const [qos, topic] of topics.entries()) await c.retain(topic, 'expires', { qos, properties })
      await c.wait(2_500)
      for (const topic of topics) {
        for (const granted of [0, 2]) expectSame((await c.retainedOn(topic, granted)).length, 0, 'retained messages')
      }
    },
  },
  {
    title: 'a message that waited carries what is left of its expiry',
    v5: '3.3.2-6',
    isSlow: true,
    run: async (c) => {
      const topic = c.topic()
      const clientId = c.id()
      const away = await c.subscriber(topic, 1, { clientId, keep: 60 })
      await away.disconnect()
      await c.retain(topic, 'x', { properties: [[P.messageExpiry, 100]] })
      await c.wait(2_500)
      const back = await c.connect({ clientId, keep: 60 })
      const later = await c.subscriber(topic, 1)
      for (const client of [back, later]) {
        const left = Number(propertyOf(await client.message(topic), P.messageExpiry))
        expect(left > 50 && left <= 98, `${left} s are left of 100 after 2.5 s`)
      }
    },
  },
  {
    title: 'a message without an expiry gets none, one with it keeps it',
    v5: '3.3.2-6',
    run: async (c) => {
      const client = await c.subscriber(c.topic(), 1)
      await c.publishOnce(c.topic(), 'x')
      expectSame(propertyOf(await client.message(), P.messageExpiry), undefined, 'Message Expiry Interval')
      await c.publishOnce(c.topic(), 'y', { properties: [[P.messageExpiry, 1_000]] })
      const left = Number(propertyOf(await client.message(), P.messageExpiry))
      expect(left > 900 && left <= 1_000, `${left} s of 1000 s`)
    },
  },
  {
    title: 'every Topic Alias up to the maximum works, and can be given to another topic',
    v5: '3.3.2-12',
    run: async (c) => {
      const client = await c.subscriber(c.topic('#'))
      const maximum = aliasMaximum(c, client)
      client.send(
        alias(c, c.topic('one'), '1', 1),
        alias(c, c.topic('max'), '2', maximum),
        alias(c, '', '3', 1),
        alias(c, '', '4', maximum),
        alias(c, c.topic('other'), '5', 1),
        alias(c, '', '6', 1),
      )
      const wanted = maximum === 1 ? [] : ['one', 'max', 'one', 'max', 'other', 'other']
      const messages = await client.messages(6)
      if (maximum > 1) {
        expectSame(
          messages.map(({ topic }) => topic),
          wanted.map((name) => c.topic(name)),
          'topics',
        )
      }
    },
  },
  {
    title: 'a Topic Alias of the publisher stays with the publisher',
    v5: '3.1.2-26 3.1.2-27 3.3.2-11',
    run: async (c) => {
      const publisher = await c.connect()
      aliasMaximum(c, publisher)
      const without = await c.subscriber(c.topic('#'))
      const one = await c.subscriber(c.topic('#'), 0, { properties: [[P.topicAliasMaximum, 1]] })
      const topics = ['a', 'b', 'a', 'c', 'b', 'a'].map((name) => c.topic(name))
      for (const topic of topics) publisher.send(alias(c, topic, topic, 1), alias(c, '', topic, 1))
      const known = new Map<unknown, string>()
      for (const topic of topics.flatMap((each) => [each, each])) {
        const plain = await without.message()
        expectSame([plain.topic, propertyOf(plain, P.topicAlias)], [topic, undefined], 'topic and alias')
        const message = await one.message()
        const number = propertyOf(message, P.topicAlias)
        expect(number === undefined || number === 1, `Topic Alias ${number} above the maximum of 1`)
        if (message.topic !== '' && number !== undefined) known.set(number, message.topic)
        expectSame(message.topic === '' ? known.get(number) : message.topic, topic, 'topic')
      }
    },
  },
  {
    title: 'Topic Alias 0 ends the connection',
    v5: '3.3.2-8 4.13.1-1',
    run: async (c) => c.breaksNew(alias(c, c.topic(), 'x', 0), 0x94),
  },
  {
    title: 'a Topic Alias above the maximum ends the connection',
    v5: '3.3.2-9 3.2.2-17',
    run: async (c) => {
      const client = await c.connect()
      const maximum = c.given(client, P.topicAliasMaximum) ?? 0
      if (maximum === 65_535) vacuous('the broker takes every Topic Alias')
      await c.breaks(client, alias(c, c.topic(), 'x', maximum + 1), 0x94)
    },
  },
  {
    title: 'a broker that takes no Topic Alias ends the connection at the first',
    v5: '3.2.2-18 3.3.2-9',
    run: async (c) => {
      const noAlias = (client: Client) => (c.given(client, P.topicAliasMaximum) ?? 0) === 0
      const url = await c.limited(noAlias, 'every listener takes Topic Aliases; name one that does not: --limited-url')
      await c.breaks(await c.connect({}, url), alias(c, c.topic(), 'x', 1), 0x94)
    },
  },
  {
    title: 'a Topic Alias that was never set ends the connection',
    v5: '3.3.2-7 4.13.1-1',
    run: async (c) => {
      const client = await c.connect()
      aliasMaximum(c, client)
      await c.breaks(client, alias(c, '', 'x', 1), 0x82)
    },
  },
  {
    title: 'a Topic Alias ends with its connection',
    v5: '3.3.2-7',
    run: async (c) => {
      const watcher = await c.subscriber(c.topic())
      const clientId = c.id()
      const first = await c.connect({ clientId, keep: 60 })
      aliasMaximum(c, first)
      first.send(alias(c, c.topic(), 'first', 1))
      await watcher.message()
      await first.disconnect()
      const second = await c.connect({ clientId, keep: 60 })
      await c.breaks(second, alias(c, '', 'second', 1), 0x82)
      await c.nothing(watcher)
    },
  },
  {
    title: 'with a Topic Alias Maximum of 2, no alias is above 2',
    v5: '3.1.2-26 3.3.2-11',
    run: async (c) => {
      const client = await c.subscriber(c.topic('#'), 0, { properties: [[P.topicAliasMaximum, 2]] })
      const topics = [1, 2, 3, 4, 5].map((name) => c.topic(String(name)))
      const known = new Map<unknown, string>()
      for (const topic of [...topics, ...topics]) await client.publish(topic, topic)
      for (const message of await client.messages(10)) {
        const number = propertyOf(message, P.topicAlias)
        expect(number === undefined || [1, 2].includes(Number(number)), `Topic Alias ${number}`)
        if (message.topic !== '') known.set(number, message.topic)
        const topic = message.topic === '' ? known.get(number) : message.topic
        expectSame(topic, message.payload.toString(), 'the topic')
      }
    },
  },
  {
    title: 'a Message Expiry Interval does not stop a QoS 2 delivery that has begun',
    v5: '4.3.3-7',
    isSlow: true,
    run: async (c) => {
      const clientId = c.id()
      const client = await c.subscriber(c.topic(), 2, { clientId, keep: 60 })
      client.acknowledges = false
      await c.publishOnce(c.topic(), 'x', { qos: 2, properties: [[P.messageExpiry, 2]] })
      const { id } = await client.message()
      client.cut()
      await c.wait(4_000)
      const back = await c.open()
      back.acknowledges = false
      await back.connect({ clientId, keep: 60 })
      const again = await back.message()
      expectSame([again.id, isDup(again)], [id, true], 'Packet Identifier and DUP')
      back.send(pubrec(id))
      await back.take(TYPE.pubrel)
      back.send(pubcomp(id))
      await back.ping()
    },
  },
  {
    title: 'a Message Expiry Interval that runs out before PUBREL does not stop the exchange with the publisher',
    v5: '4.3.3-13',
    isSlow: true,
    run: async (c) => {
      const publisher = await c.connect()
      publisher.send(publish(5, c.topic(), 'x', { qos: 2, id: 9, properties: [[P.messageExpiry, 1]] }))
      await publisher.take(TYPE.pubrec)
      await c.wait(2_500)
      publisher.send(pubrel(9))
      const { id, code } = await publisher.take(TYPE.pubcomp)
      expectSame([id, code], [9, 0], 'Packet Identifier and code of PUBCOMP')
      await publisher.ping()
    },
  },
]
