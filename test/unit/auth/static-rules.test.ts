/** Who gets in, and who may do what. */
import { createHook } from 'node:async_hooks'
import { scryptSync } from 'node:crypto'
import t from 'tap'
import { allowAll } from '../../../src/auth/allow-all.js'
import { type AccessRule, StaticRules } from '../../../src/auth/static-rules.js'
import type { LinkDescription } from '../../../src/core/ports/link.js'
import type { ConnectPacket } from '../../../src/protocol/packets.js'

const link: LinkDescription = { transport: 'memory', protocol: 'mqtt', remoteAddress: 'memory:1' }
const passwordHash = hashOf('secret')
const users = [{ username: 'anna', passwordHash }]

function hashOf(password: string): string {
  const salt = Buffer.alloc(16, 7)
  const key = scryptSync(password, salt, 32, { N: 1_024, r: 8, p: 1 })
  const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  return `$scrypt$ln=10,r=8,p=1$${unpadded(salt)}$${unpadded(key)}`
}

function connect(username: string | undefined, password: string | undefined, clientId = 'c1'): ConnectPacket {
  return {
    type: 1,
    protocolLevel: 5,
    clientId,
    cleanStart: true,
    keepAliveSec: 0,
    properties: {},
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
  }
}
const rules = (...list: AccessRule[]) => new StaticRules({ users, rules: list })
const ask = (access: StaticRules, ...who: Parameters<typeof connect>) =>
  access.authenticate({ connect: connect(...who), link })

t.test('a known user with the right password gets in', async (t) => {
  const access = rules()
  t.same(await ask(access, 'anna', 'secret'), { accepted: true, username: 'anna' })
  t.same(ask(access, 'anna', 'secret'), { accepted: true, username: 'anna' }, 'the second time at once')
  t.match(await ask(access, 'anna', 'wrong'), { accepted: false, reasonCode: 0x86 })
})

t.test('everybody else does not, and an unknown user is told the same as a wrong password', async (t) => {
  const access = rules()
  const wrong = await ask(access, 'anna', 'wrong')
  t.same(await ask(access, 'nobody', 'secret'), wrong)
  t.match(wrong, { accepted: false, reasonCode: 0x86 })
  t.match(ask(access, undefined, undefined), { accepted: false, reasonCode: 0x86 })
  t.match(ask(access, 'anna', undefined), { accepted: false, reasonCode: 0x86 })
  t.match(ask(access, 'an/na', 'secret'), { accepted: false, reasonCode: 0x86 })
})

t.test('a fleet that comes back at once with one password is not hashed one by one; wrong ones are', async (t) => {
  let hashed = 0
  const hook = createHook({
    init: (_id, type) => {
      if (type === 'SCRYPTREQUEST') hashed += 1
    },
  }).enable()
  t.teardown(() => hook.disable())
  const access = rules()
  const fleet = await Promise.all(Array.from({ length: 50 }, () => ask(access, 'anna', 'secret')))
  t.ok(fleet.every(({ accepted }) => accepted))
  t.ok(hashed > 0 && hashed <= 2, `${hashed} of 50 were hashed: as many as are at once`)
  const before = hashed
  const guesses = await Promise.all(Array.from({ length: 20 }, () => ask(access, 'anna', 'wrong')))
  t.ok(guesses.every(({ accepted }) => !accepted))
  t.equal(hashed - before, 20, 'each wrong one costs what it always did')
})

t.test('many who come at once are all answered', async (t) => {
  const access = rules()
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => ask(access, index % 2 === 0 ? 'anna' : 'nobody', 'secret')),
  )
  t.same(
    answers.map(({ accepted }) => accepted),
    answers.map((_, index) => index % 2 === 0),
  )
})

t.test('a hash that is none keeps the broker from starting', async (t) => {
  for (const bad of ['', 'secret', '$scrypt$ln=99,r=8,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA', `${passwordHash}=`]) {
    t.throws(() => new StaticRules({ users: [{ username: 'anna', passwordHash: bad }], rules: [] }), {
      message: /access\.users, anna: a password hash has/,
    })
  }
})

t.test('nothing is allowed that no rule allows, and a deny wins', async (t) => {
  const access = rules(
    { action: 'all', topicFilter: 'a/#', effect: 'allow' },
    { action: 'publish', topicFilter: 'a/secret/#', effect: 'deny' },
    { username: 'anna', action: 'publish', topicFilter: 'b', effect: 'allow' },
  )
  const anna = { username: 'anna', clientId: 'c1' }
  const bert = { username: 'bert', clientId: 'c1' }
  t.ok(access.authorize(anna, 'publish', 'a/b'))
  t.notOk(access.authorize(anna, 'publish', 'a/secret/x'))
  t.ok(access.authorize(anna, 'receive', 'a/secret/x'))
  t.notOk(access.authorize(anna, 'publish', 'c'))
  t.ok(access.authorize(anna, 'publish', 'b'))
  t.notOk(access.authorize(bert, 'publish', 'b'))
  t.notOk(access.authorize(anna, 'subscribe', 'b'))
})

t.test('a filter is granted when one rule covers all of it and no denied one does', async (t) => {
  const access = rules(
    { action: 'subscribe', topicFilter: 'a/#', effect: 'allow' },
    { action: 'subscribe', topicFilter: 'a/secret/#', effect: 'deny' },
  )
  const anna = { username: 'anna', clientId: 'c1' }
  t.ok(access.authorize(anna, 'subscribe', 'a/+/b'))
  t.ok(access.authorize(anna, 'subscribe', 'a/#'), 'the denied part is caught at the delivery')
  t.notOk(access.authorize(anna, 'subscribe', '#'))
  t.notOk(access.authorize(anna, 'subscribe', '+/b'))
  t.notOk(access.authorize(anna, 'subscribe', 'a/secret/+'))
})

t.test('%c and %u stand for one level of their own client', async (t) => {
  const access = rules(
    { action: 'publish', topicFilter: 'devices/%c/#', effect: 'allow' },
    { action: 'publish', topicFilter: 'users/%u', effect: 'allow' },
  )
  t.ok(access.authorize({ username: 'anna', clientId: 'c1' }, 'publish', 'devices/c1/x'))
  t.notOk(access.authorize({ username: 'anna', clientId: 'c1' }, 'publish', 'devices/c2/x'))
  t.notOk(access.authorize({ username: 'anna', clientId: '+' }, 'publish', 'devices/c2/x'))
  t.ok(access.authorize({ username: 'anna', clientId: 'c1' }, 'publish', 'users/anna'))
  t.notOk(access.authorize({ username: null, clientId: 'c1' }, 'publish', 'users/anna'))
  t.match(ask(access, 'anna', 'secret', 'a/b'), { accepted: false, reasonCode: 0x85 })
})

t.test("a session that comes back with another user has that user's rights", async (t) => {
  const access = rules({ username: 'anna', action: 'publish', topicFilter: 'a', effect: 'allow' })
  const session = { username: 'anna', clientId: 'c1' }
  t.ok(access.authorize(session, 'publish', 'a'))
  session.username = 'bert'
  t.notOk(access.authorize(session, 'publish', 'a'))
})

t.test('allow-all lets everybody in, and keeps names that look like topics out of its labels', async (t) => {
  t.equal(allowAll.allowsEverything, true)
  t.same(allowAll.authenticate({ connect: connect('anna', undefined), link }), { accepted: true, username: 'anna' })
  t.same(allowAll.authenticate({ connect: connect('#', undefined), link }), { accepted: true, username: null })
})
