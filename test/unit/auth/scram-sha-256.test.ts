/** SCRAM-SHA-256: the RFC's own example, every way to get it wrong, and users that do not exist. */
import t from 'tap'
import { parseScramCredential, ScramExchange, ScramUsers } from '../../../src/auth/scram-sha-256.js'
import { StaticRules } from '../../../src/auth/static-rules.js'
import { scramKeys } from '../../../src/cli/passwd.js'
import type { AuthenticationStep } from '../../../src/core/ports/access.js'
import { ScramClient, scramCredential } from '../../support/scram-client.js'

const users = new ScramUsers(new Map([['user', parseScramCredential(scramCredential('pencil'))]]))
const SERVER_NONCE = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
const text = (step: AuthenticationStep): string =>
  step.accepted === false ? step.detail : Buffer.from(step.authenticationData ?? []).toString()
const start = () => new ScramExchange(users, () => SERVER_NONCE)

t.test('the example of RFC 7677, byte for byte', async (t) => {
  const exchange = start()
  const challenge = exchange.step(Buffer.from('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'))
  t.equal(challenge.accepted, 'continue')
  t.equal(text(challenge), `r=rOprNGfwEbeRWgbNEkqO${SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`)
  const proof = 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ='
  const outcome = exchange.step(Buffer.from(`c=biws,r=rOprNGfwEbeRWgbNEkqO${SERVER_NONCE},p=${proof}`))
  t.match(outcome, { accepted: true, username: 'user' })
  t.equal(text(outcome), 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
})

function converse(client: ScramClient, change: (final: string) => string = (final) => final): AuthenticationStep {
  const exchange = start()
  const challenge = exchange.step(client.first())
  if (challenge.accepted !== 'continue') return challenge
  return exchange.step(Buffer.from(change(client.final(challenge.authenticationData).toString())))
}

t.test('the right password gets in, with either header that binds no channel', async (t) => {
  for (const header of ['n,,', 'y,,', 'n,a=user,']) {
    const client = new ScramClient('user', 'pencil', 'abc', header)
    const outcome = converse(client)
    t.match(outcome, { accepted: true, username: 'user' }, header)
    t.ok(outcome.accepted === true && client.isServerRight(outcome.authenticationData), 'the server proves itself')
  }
})

t.test('a wrong password, and anything in the last message that was changed, does not', async (t) => {
  t.match(converse(new ScramClient('user', 'pencil2')), { accepted: false, reasonCode: 0x87 })
  const changes: Record<string, (final: string) => string> = {
    'another proof': (final) => final.replace(/p=..../, 'p=AAAA'),
    'another nonce': (final) => final.replace('r=', 'r=x'),
    'another header': (final) => final.replace('c=biws', 'c=eSws'),
    'no proof': (final) => final.replace(/,p=.*/, ''),
    'something behind the proof': (final) => `${final},x=1`,
    'an extension that is not signed': (final) => final.replace(',p=', ',x=1,p='),
    nothing: () => '',
  }
  for (const [name, change] of Object.entries(changes)) {
    const outcome = converse(new ScramClient('user', 'pencil'), change)
    t.match(outcome, { accepted: false, reasonCode: 0x87 }, name)
    t.notMatch(text(outcome), /pencil|p=\w/, 'the sentence gives nothing away')
  }
})

t.test('a first message that is none is refused', async (t) => {
  const messages = ['n,,n=user', 'n,,r=abc', 'p=tls-unique,,n=user,r=a', 'x,,n=user,r=a', 'n,,n=us=er,r=a', 'n,,n=,r=a']
  for (const message of [...messages, 'n,a=root,n=user,r=a', 'n,,m=x,n=user,r=a', 'n,,n=user,r=a b', '\u0000']) {
    t.match(start().step(Buffer.from(message)), { accepted: false, reasonCode: 0x87 }, message)
  }
  t.match(start().step(Buffer.from([0x6e, 0x2c, 0x2c, 0xff])), { accepted: false }, 'not UTF-8')
  t.match(start().step(Buffer.from(`n,,n=user,r=${'x'.repeat(5_000)}`)), { accepted: false }, 'too long')
})

t.test('an empty first step is answered by an empty challenge, once', async (t) => {
  const exchange = start()
  t.match(exchange.step(new Uint8Array(0)), { accepted: 'continue' })
  t.equal(exchange.step(new ScramClient('user', 'pencil').first()).accepted, 'continue')
  const twice = start()
  twice.step(new Uint8Array(0))
  t.match(twice.step(new Uint8Array(0)), { accepted: false })
})

t.test('after its end a conversation accepts nothing, not even what was right', async (t) => {
  const exchange = start()
  const client = new ScramClient('user', 'pencil')
  const challenge = exchange.step(client.first())
  const final = client.final(challenge.accepted === 'continue' ? challenge.authenticationData : undefined)
  t.equal(exchange.step(final).accepted, true)
  t.match(exchange.step(final), { accepted: false })
})

t.test('a user that does not exist looks like one that does', async (t) => {
  const challengeOf = (username: string) => text(start().step(new ScramClient(username, 'x').first()))
  const [real, unknown] = [challengeOf('user'), challengeOf('nobody')]
  t.equal(unknown.length, real.length)
  t.match(unknown, /,i=4096$/)
  t.equal(challengeOf('nobody'), unknown, 'the same salt each time')
  t.not(challengeOf('somebody').split(',')[1], unknown.split(',')[1], 'another salt for another name')
  t.same(converse(new ScramClient('nobody', 'pencil')), converse(new ScramClient('user', 'wrong')))
})

t.test(
  'who does not exist gets the same salt after a restart, and nobody can compute it from one password',
  async (t) => {
    const both = (['anna', 'otto'] as const).map((name) => [name, parseScramCredential(scramCredential(name))] as const)
    const salt = (of: ScramUsers, name = 'nobody') => of.find(name).salt.toString('hex')
    const before = new ScramUsers(new Map(both))
    t.equal(salt(new ScramUsers(new Map(both))), salt(before))
    t.equal(salt(new ScramUsers(new Map([...both].reverse()))), salt(before), 'the order in the file is nothing')
    for (const one of both) t.not(salt(new ScramUsers(new Map([one]))), salt(before))
    t.not(salt(before, 'somebody'), salt(before))
  },
)

t.test('names with commas, equals signs and other forms of one letter', async (t) => {
  const odd = new ScramUsers(new Map([['a=b,\u00e9', parseScramCredential(scramCredential('pw'))]]))
  for (const name of ['a=b,\u00e9', 'a=b,e\u0301']) {
    const client = new ScramClient(name, 'pw')
    const exchange = new ScramExchange(odd)
    const challenge = exchange.step(client.first())
    const final = client.final(challenge.accepted === 'continue' ? challenge.authenticationData : undefined)
    t.match(exchange.step(final), { accepted: true, username: 'a=b,\u00e9' })
  }
})

t.test('each conversation has a nonce of its own', async (t) => {
  const nonces = Array.from({ length: 20 }, () => {
    return text(new ScramExchange(users).step(new ScramClient('user', 'pencil', 'c').first())).split(',')[0]
  })
  t.equal(new Set(nonces).size, 20)
})

t.test('what `tallymq passwd --scram` prints lets its password in', async (t) => {
  const printed = scramKeys('p\u00e4ss wort', Buffer.alloc(16, 3))
  const access = new StaticRules({ users: [{ username: 'anna', scramSha256: printed }], rules: [] })
  const link = { transport: 'memory', protocol: 'mqtt', remoteAddress: 'memory:1' } as const
  const exchange = access.beginExchange('SCRAM-SHA-256', { clientId: 'c', link })
  t.not(exchange, null)
  const client = new ScramClient('anna', 'p\u00e4ss wort')
  const challenge = await exchange?.step(client.first())
  const final = client.final(challenge?.accepted === 'continue' ? challenge.authenticationData : undefined)
  t.match(await exchange?.step(final), { accepted: true, username: 'anna' })
  t.equal(scramKeys('a\u00a0b', Buffer.alloc(16, 3)), scramKeys('a b', Buffer.alloc(16, 3)), 'SASLprep: spaces')
  t.throws(() => scramKeys('a\u0007', Buffer.alloc(16, 3)))
})

t.test('keys that are none are refused when the broker starts, and are not in the message', async (t) => {
  const good = scramCredential('pencil')
  for (const bad of ['', 'pencil', good.replace('i=4096', 'i=1000'), `${good}=`, good.slice(0, -1)]) {
    t.throws(() => new StaticRules({ users: [{ username: 'anna', scramSha256: bad }], rules: [] }), {
      name: 'RangeError',
      message: /^access.users, anna: a SCRAM credential has/,
    })
  }
})

t.test(
  'the method exists only where somebody can use it, and a client identifier is checked as for passwords',
  async (t) => {
    const link = { transport: 'memory', protocol: 'mqtt', remoteAddress: 'memory:1' } as const
    const scramSha256 = scramCredential('pencil')
    const none = new StaticRules({ users: [], rules: [] })
    t.equal(none.beginExchange('SCRAM-SHA-256', { clientId: 'c', link }), null)
    const rules = [{ action: 'all', topicFilter: 'd/%c', effect: 'allow' }] as const
    const access = new StaticRules({ users: [{ username: 'anna', scramSha256 }], rules })
    t.equal(access.beginExchange('SCRAM-SHA-1', { clientId: 'c', link }), null)
    const exchange = access.beginExchange('SCRAM-SHA-256', { clientId: 'a/b', link })
    t.match(await exchange?.step(new ScramClient('anna', 'pencil').first()), { accepted: false, reasonCode: 0x85 })
  },
)
