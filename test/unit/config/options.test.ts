/** The options object: defaults, refusals with a reason, everything wrong said at once, a frozen result. */
import t from 'tap'
import { OPTION_ROWS, OptionsError, type OptionsInput, parseOptions } from '../../../src/config/options.js'
import { type BrokerLimits, DEFAULT_LIMITS } from '../../../src/core/limits.js'

const SECTIONS =
  'dataDirectory, store, durability, listen, http, heartbeat, storage, limits, mqtt, producers, ledger, access, ' +
  'presence, sys, log'

/** What a file may hold: anything. */
function problemsOf(input: unknown): Record<string, string> {
  try {
    parseOptions(input as OptionsInput)
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    return Object.fromEntries(error.problems.map((problem) => [problem.path, problem.message]))
  }
  return {}
}

t.test('nothing given is the safe default: loopback, lmdb, flush', async (t) => {
  const options = parseOptions()
  t.equal(options.listen.host, '127.0.0.1')
  t.equal(options.listen.httpPort, 8083)
  t.equal(options.listen.mqttPort, 1883)
  t.equal(options.store, 'lmdb')
  t.equal(options.durability, 'flush')
  const limits: BrokerLimits = options.limits
  t.same(limits, DEFAULT_LIMITS, 'the limits are those of the core, name for name')
})

t.test('the result is frozen to the bottom and does not share with the input', async (t) => {
  const rules = [{ action: 'publish', topicFilter: 'a/#', effect: 'allow' }] as const
  const options = parseOptions({ access: { mode: 'rules', rules } })
  t.ok(Object.isFrozen(options) && Object.isFrozen(options.listen) && Object.isFrozen(options.access.rules[0]))
  t.notOk(Object.isFrozen(rules[0]))
  t.throws(() => {
    ;(options.limits as { sessionsMax: number }).sessionsMax = 1
  }, TypeError)
})

t.test('every problem is reported at once, with what was given and what is allowed', async (t) => {
  t.same(
    problemsOf({
      store: 'redis',
      listen: { httpPort: 70_000, mqttPort: '1883' },
      limits: { receiveMaximum: 0, queueFull: 'drop' },
      heartbeat: { pingIntervalMs: 1.5 },
      log: null,
    }),
    {
      store: "'redis' was given; allowed: 'lmdb', 'memory'",
      'listen.httpPort': '70000 was given; allowed: a whole number from 0 to 65535',
      'listen.mqttPort': "'1883' was given; allowed: a whole number from 0 to 65535 or null",
      'limits.receiveMaximum': '0 was given; allowed: a whole number from 1 to 65535',
      'limits.queueFull': "'drop' was given; allowed: 'drop-new', 'refuse-publish'",
      'heartbeat.pingIntervalMs': '1.5 was given; allowed: a whole number from 10 to 3600000 (milliseconds)',
      log: 'null was given; allowed: a section with level',
    },
  )
})

t.test('an unknown key is refused, with the one that was probably meant', async (t) => {
  t.same(
    problemsOf({ listen: { htpPort: 1 }, limits: { 'queue-messages-max': 5 }, dataDir: 'x', httpPort: 1, zzz: 1 }),
    {
      'listen.htpPort': "there is no such option; did you mean 'listen.httpPort'?",
      'limits.queue-messages-max': "there is no such option; did you mean 'limits.queueMessagesMax'?",
      dataDir: "there is no such option; did you mean 'dataDirectory'?",
      httpPort: "there is no such option; did you mean 'listen.httpPort'?",
      zzz: `there is no such option; known here: ${SECTIONS}`,
    },
  )
  t.throws(() => parseOptions(JSON.parse('{"__proto__": {"x": 1}}')), { message: /__proto__: there is no such option/ })
})

t.test('what contradicts itself is refused beside what is plainly wrong', async (t) => {
  t.match(problemsOf({ listen: { host: '0.0.0.0' }, limits: { inflightMax: -1 } }), {
    'listen.host': /access\.mode .*access\.allowPublicAnonymous/,
    'limits.inflightMax': /whole number/,
  })
  t.match(problemsOf({ listen: { httpPort: 9000, mqttPort: 9000 } }), { 'listen.mqttPort': /one port each/ })
  t.match(problemsOf({ store: 'memory', durability: 'flush' }), { durability: /nothing on disk/ })
  t.match(problemsOf({ access: { rules: [{ action: 'publish', topicFilter: '#', effect: 'allow' }] } }), {
    'access.mode': /no effect/,
  })
  const rule = { username: 'bob', action: 'publish', topicFilter: '#', effect: 'allow' }
  t.match(problemsOf({ access: { mode: 'rules', rules: [rule] } }), {
    'access.rules[0].username': /none of access.users/,
  })
})

t.test('another address than loopback needs rules or the explicit permission', async (t) => {
  for (const host of ['127.0.0.1', '127.8.9.1', 'localhost', '::1', '[::1]']) {
    t.same(problemsOf({ listen: { host } }), {}, host)
  }
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example.com', 'example.com']) {
    t.match(problemsOf({ listen: { host } }), { 'listen.host': /reachable from outside/ }, host)
    t.same(problemsOf({ listen: { host }, access: { mode: 'rules' } }), {}, `${host} with rules`)
    t.same(problemsOf({ listen: { host }, access: { allowPublicAnonymous: true } }), {}, `${host} permitted`)
  }
})

t.test('a memory store says that its durability is memory', async (t) => {
  t.equal(parseOptions({ store: 'memory' }).durability, 'memory')
})

t.test('a wrong password hash is named but never repeated', async (t) => {
  const secret = 'hunter2-in-the-clear'
  const problems = problemsOf({ access: { mode: 'rules', users: [{ username: 'a', passwordHash: secret }] } })
  t.match(problems, { 'access.users[0].passwordHash': /not shown.*tallymq passwd/ })
  t.notMatch(JSON.stringify(problems), secret)
})

t.test('every row has a sentence, a default, an allowed range and a name of its own', async (t) => {
  const unitOfName = (name: string) =>
    /Ms$/.test(name) ? 'ms' : /Sec$/.test(name) ? 's' : /Bytes|PacketSize/.test(name) ? 'bytes' : undefined
  for (const row of OPTION_ROWS) {
    const sound =
      /^.{8,120}\.$/.test(row.sentence) &&
      row.default !== undefined &&
      row.allowed.length > 3 &&
      /^TALLYMQ_[A-Z0-9_]+$/.test(row.environmentName) &&
      row.unit === unitOfName(row.name)
    t.ok(sound, row.name, { row })
  }
  t.equal(new Set(OPTION_ROWS.map((row) => row.environmentName)).size, OPTION_ROWS.length)
})
