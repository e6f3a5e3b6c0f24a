/** Topic Names and Topic Filters: wildcards, $ topics, no normalization, and shared subscriptions. */
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { P, puback, publish, pubrec, subscribe } from '../wire/bytes.js'
import { isDup, propertiesOf, qosOf, TYPE } from '../wire/decode.js'

/** Refused: SUBACK of 0x80 or more, or the connection is closed. */
async function refusesFilter(c: Context, filter: string, options = 0): Promise<void> {
  const client = await c.connect()
  client.send(subscribe(c.version, 3, [[filter, options]]))
  const answer = await client.take(TYPE.suback).catch(() => undefined)
  if (answer === undefined) expect(client.isClosed, `${filter}: neither refused nor closed`)
  else expect((answer.codes[0] ?? 0) >= 0x80, `${filter}: SUBACK ${answer.codes}`)
}

/** Which of these topics reach a subscriber of the filter. */
async function matching(c: Context, filter: string, topics: readonly string[]): Promise<string[]> {
  const client = await c.subscriber(filter, 0)
  const publisher = await c.connect()
  for (const topic of topics) await publisher.publish(topic, 'x')
  await c.fence(client, publisher)
  return client
    .waiting(TYPE.publish)
    .map(({ topic }) => topic)
    .filter((topic) => topics.includes(topic))
}

export const topicMatching: readonly Case[] = [
  {
    title: '# stands alone or behind /, and last',
    v5: '4.7.1-1',
    v311: '4.7.1-2',
    run: async (c) => {
      for (const filter of ['a#', 'a/#/b', '##', '#/a', '/a#', 'a/b#']) await refusesFilter(c, filter)
      for (const filter of [c.topic('#'), c.topic('a/b/#')]) await c.subscriber(filter)
    },
  },
  {
    title: '# matches the level above it and every level below',
    v5: '4.7.1-1',
    v311: '4.7.1-2',
    run: async (c) => {
      const names = ['sport', 'sport/', 'sport/x', 'sport/x/y', 'sports', 'spor'].map((name) => c.topic(name))
      expectSame(await matching(c, c.topic('sport/#'), names), names.slice(0, 4), 'matching topics')
    },
  },
  {
    title: '# alone is a filter',
    v5: '4.7.1-1',
    v311: '4.7.1-2',
    run: async (c) => {
      const client = await c.subscriber('#')
      await c.publishOnce(c.topic(), 'x')
      await client.message(c.topic())
    },
  },
  {
    title: '+ fills a whole level',
    v5: '4.7.1-2',
    v311: '4.7.1-3',
    run: async (c) => {
      for (const filter of ['a+', 'a/+b', '+a', 'a/b+/c']) await refusesFilter(c, filter)
      for (const filter of ['+', '+/a/#', 'a/+/b', '/+', '+/+']) await (await c.subscriber(filter)).disconnect()
      const names = ['a/', 'a', 'a/b', 'a/b/c', 'b/a'].map((name) => c.topic(name))
      expectSame(await matching(c, c.topic('a/+'), names), [c.topic('a/'), c.topic('a/b')], 'matching topics')
    },
  },
  {
    title: 'a filter that begins with a wildcard does not match a topic that begins with $',
    v5: '4.7.2-1',
    v311: '4.7.2-1',
    run: async (c) => {
      const client = await c.connect()
      const shared = c.isV5 ? [[`$share/${c.id()}/#`, 0] as const] : []
      await client.subscribe([['#', 0], ['+/#', 0], [`+/${c.id()}`, 0], ...shared])
      const publisher = await c.connect()
      // A broker may refuse it, and close.
      const dollar = `$conformance/${c.id()}`
      publisher.send(publish(c.version, dollar, 'x'))
      await c.publishOnce(c.topic(), 'fence')
      await client.message(c.topic())
      await c.wait(300)
      const found = client.waiting(TYPE.publish).filter(({ topic }) => topic.startsWith('$'))
      expectSame(
        found.map(({ topic }) => topic),
        [],
        'topics',
      )
    },
  },
  {
    title: 'a topic that begins with $ is matched by a filter that begins with it',
    v5: '4.7.2-1',
    v311: '4.7.2-1',
    run: async (c) => {
      const dollar = `$conformance/${c.id()}`
      const client = await c.subscriber('$conformance/#')
      client.send(publish(c.version, dollar, 'x', { qos: 1, id: 9 }))
      const answer = await client.take(TYPE.puback).catch(() => null)
      if (answer === null || answer.code >= 0x80) return vacuous('the broker takes no topic that begins with $')
      await client.message(dollar)
    },
  },
  {
    title: 'an empty filter is refused',
    v5: '4.7.3-1',
    v311: '4.7.3-1',
    run: (c) => refusesFilter(c, ''),
  },
  {
    title: 'topics are compared as they are: case, slashes and combining characters count',
    v5: '4.7.3-4',
    v311: '4.7.3-4',
    run: async (c) => {
      const pairs = [
        ['A', 'a'],
        ['a//b', 'a/b'],
        ['caf\u00e9', 'cafe\u0301'],
        ['a b', 'ab'],
        ['a', 'a/'],
      ].map((pair) => pair.map((name) => c.topic(name)))
      for (const [one, other] of pairs as [string, string][]) {
        expectSame(await matching(c, one, [one, other]), [one], `topics that match ${one}`)
        expectSame(await matching(c, other, [one, other]), [other], `topics that match ${other}`)
      }
      const bare = c.topic()
      expectSame(await matching(c, `/${bare}`, [bare, `/${bare}`]), [`/${bare}`], 'topics that match a leading /')
    },
  },
  {
    title: 'a topic of one slash, and one with a blank, are topics',
    v5: '4.7.3-1',
    v311: '4.7.3-1',
    run: async (c) => {
      for (const name of ['/', ' ']) {
        const client = await c.subscriber(name)
        const text = c.id()
        await c.publishOnce(name, text)
        await client.take(TYPE.publish, ({ topic, payload }) => topic === name && payload.toString() === text)
      }
    },
  },
]

const KEEP = 60

/** The filter of a shared subscription of this case. */
const shared = (c: Context, name = 't') => `$share/g/${c.topic(name)}`

/** A member of the group that acknowledges nothing, with a session that is kept. */
async function member(c: Context, qos: number, keep = KEEP) {
  const client = await c.subscriber(shared(c), qos, { clientId: c.id(), keep, clean: true })
  client.acknowledges = false
  return client
}

export const sharedSubscriptions: readonly Case[] = [
  {
    title: 'a filter of a shared subscription has a share name',
    v5: '4.8.2-1',
    run: (c) => refusesFilter(c, '$share//a'),
  },
  {
    title: 'a share name has no wildcard and is followed by a filter',
    v5: '4.8.2-2',
    run: async (c) => {
      for (const filter of ['$share/g+/a', '$share/g#/a', '$share/g', '$share/g/', '$share/+/a', '$share/#']) {
        await refusesFilter(c, filter)
      }
    },
  },
  {
    title: 'a message goes to one member of the group, at the QoS that member was granted',
    v5: '4.8.2-3 3.8.4-7',
    run: async (c) => {
      const members = [await c.subscriber(shared(c), 0), await c.subscriber(shared(c), 1)]
      const publisher = await c.connect()
      const sent = Array.from({ length: 12 }, (_, index) => String(index))
      for (const text of sent) await publisher.publish(c.topic(), text, { qos: 2 })
      const found: string[] = []
      for (const [granted, client] of members.entries()) {
        await c.fence(client, publisher)
        for (const message of client.waiting(TYPE.publish)) {
          expectSame(qosOf(message), granted, 'QoS')
          found.push(message.payload.toString())
        }
      }
      expectSame(
        found
          .map(Number)
          .sort((a, b) => a - b)
          .map(String),
        sent,
        'messages, each once',
      )
    },
  },
  {
    title: 'a shared subscription works beside retained messages (which it should not get)',
    v5: '4.8.2-3',
    run: async (c) => {
      await c.retain(c.topic(), 'r')
      const client = await c.subscriber(shared(c), 1)
      await c.retainedFence(client)
      // No numbered statement says so.
      if (client.waiting(TYPE.publish).length > 0) c.remark('a retained message came for a shared subscription')
      await c.publishOnce(c.topic(), 'live', { qos: 2 })
      const message = await client.take(TYPE.publish, ({ payload }) => payload.toString() === 'live')
      expectSame(qosOf(message), 1, 'QoS')
    },
  },
  {
    title: 'a QoS 2 delivery to a member that was broken off is completed to that member',
    v5: '4.8.2-4',
    run: async (c) => {
      const first = await member(c, 2)
      await c.publishOnce(c.topic(), 'x', { qos: 2 })
      const { id } = await first.message()
      const second = await member(c, 2)
      first.cut()
      await c.nothing(second)
      const back = await c.connect({ clientId: first.clientId, keep: KEEP })
      const again = await back.message()
      expectSame([again.id, isDup(again)], [id, true], 'Packet Identifier and DUP')
      await c.nothing(second)
    },
  },
  {
    title: 'a QoS 2 delivery whose member does not come back goes to nobody else',
    v5: '4.8.2-5',
    isSlow: true,
    run: async (c) => {
      const first = await member(c, 2, 1)
      await c.publishOnce(c.topic(), 'x', { qos: 2 })
      await first.message()
      const second = await member(c, 2)
      first.cut()
      await c.wait(2_500)
      await c.nothing(second)
    },
  },
  {
    title: 'a QoS 2 delivery whose member starts afresh goes to nobody else',
    v5: '4.8.2-5',
    run: async (c) => {
      const first = await member(c, 2)
      await c.publishOnce(c.topic(), 'x', { qos: 2 })
      await first.message()
      const second = await member(c, 2)
      first.cut()
      await c.connect({ clientId: first.clientId, clean: true })
      await c.nothing(second)
    },
  },
  {
    title: 'a message that its member refuses is offered to nobody else',
    v5: '4.8.2-6',
    run: async (c) => {
      const first = await member(c, 2)
      await c.publishOnce(c.topic(), 'one', { qos: 1 })
      await c.publishOnce(c.topic(), 'two', { qos: 2 })
      const [one, two] = (await first.messages(2)).map(({ id }) => id) as [number, number]
      const second = await member(c, 2)
      first.send(puback(one, 0x80), pubrec(two, 0x80))
      await first.ping()
      await c.nothing(second)
      await c.nothing(first)
    },
  },
  {
    title: 'a Subscription Identifier comes with messages of a shared subscription',
    v5: '3.3.4-3',
    run: async (c) => {
      for (const [published, granted] of [
        [0, 0],
        [1, 0],
        [1, 1],
        [2, 2],
      ] as const) {
        const client = await c.subscriber(shared(c), granted, {}, [[P.subscriptionId, 9]])
        await c.publishOnce(c.topic(), 'x', { qos: published })
        const message = await client.message()
        expectSame([qosOf(message), propertiesOf(message, P.subscriptionId)], [granted, [9]], 'QoS and identifiers')
        // The next one is alone in the group.
        await client.disconnect()
      }
    },
  },
]
