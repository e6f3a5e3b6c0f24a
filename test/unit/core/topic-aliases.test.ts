/** Topic aliases: what a client's numbers stand for, and which numbers the broker uses. */
import fc from 'fast-check'
import t from 'tap'
import { InboundTopicAliases, OutboundTopicAliases } from '../../../src/core/topic-aliases.js'
import { ReasonCode } from '../../../src/protocol/reason-codes.js'

t.test('an alias stands for the topic name it was last sent with', async (t) => {
  const aliases = new InboundTopicAliases(2)
  t.equal(aliases.resolve('a/b', undefined), 'a/b')
  t.equal(aliases.resolve('a/b', 1), 'a/b')
  t.equal(aliases.resolve('c', 2), 'c')
  t.equal(aliases.resolve('', 1), 'a/b')
  t.equal(aliases.resolve('', 2), 'c')
  t.equal(aliases.resolve('d', 1), 'd')
  t.equal(aliases.resolve('', 1), 'd')
})

t.test('an alias that cannot be is refused with its reason code', async (t) => {
  const invalid = { name: 'ProtocolError', reasonCode: ReasonCode.TOPIC_ALIAS_INVALID }
  const protocolError = { name: 'ProtocolError', reasonCode: ReasonCode.PROTOCOL_ERROR }
  const aliases = new InboundTopicAliases(2)
  t.throws(() => aliases.resolve('a', 0), invalid, '0')
  t.throws(() => aliases.resolve('', 0), invalid, '0 without a name')
  t.throws(() => aliases.resolve('a', 3), invalid, 'above the maximum')
  t.throws(() => aliases.resolve('', 65_535), invalid, 'far above the maximum')
  t.throws(() => aliases.resolve('', 2), protocolError, 'never set')
  t.throws(() => aliases.resolve('', undefined), protocolError, 'neither name nor alias')
  t.throws(() => new InboundTopicAliases(0).resolve('a', 1), invalid, 'aliases are off')
  aliases.resolve('a', 2)
  t.throws(() => aliases.resolve('', 1), protocolError, 'another one was set')
  t.equal(aliases.resolve('', 2), 'a', 'a refused packet leaves the others alone')
})

t.test('the broker names a topic once and then sends its alias', async (t) => {
  const aliases = new OutboundTopicAliases(2)
  t.same(aliases.assign('a'), { alias: 1, isNew: true })
  t.same(aliases.assign('a'), { alias: 1, isNew: false })
  t.same(aliases.assign('b'), { alias: 2, isNew: true })
  t.same(aliases.assign('a'), { alias: 1, isNew: false })
})

t.test('a peer that takes no aliases gets none', async (t) => {
  t.equal(new OutboundTopicAliases(0).assign('a'), undefined)
})

t.test('a busy topic keeps its alias while rare ones replace each other', async (t) => {
  const aliases = new OutboundTopicAliases(3)
  aliases.assign('busy')
  for (let index = 0; index < 100; index += 1) {
    t.match(aliases.assign('busy'), { alias: 1, isNew: false })
    t.match(aliases.assign(`rare/${index}`), { isNew: true })
  }
})

t.test('a peer that follows the aliases always reads the right topic', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.nat(9), { maxLength: 200 }), (maximum, topics) => {
      const outbound = new OutboundTopicAliases(maximum)
      const inbound = new InboundTopicAliases(maximum)
      for (const topic of topics) {
        const topicName = `topic/${topic}`
        const assigned = outbound.assign(topicName)
        if (assigned === undefined) throw new Error('no alias')
        const read = inbound.resolve(assigned.isNew ? topicName : '', assigned.alias)
        if (read !== topicName) throw new Error(`${read} instead of ${topicName}`)
      }
    }),
    { numRuns: 1_000 },
  )
})
