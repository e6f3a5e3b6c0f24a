/** Files, environment and flags: who wins, what is understood, and that every complaint says where it comes from. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { publishedSchema } from '../../../src/config/json-schema.js'
import { loadOptions, type OptionSources } from '../../../src/config/load.js'
import { OptionsError } from '../../../src/config/options.js'
import { numberFromText } from '../../../src/config/units.js'

function problemsOf(sources: OptionSources): Record<string, string> {
  try {
    loadOptions(sources)
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    return Object.fromEntries(error.problems.map((problem) => [problem.path, problem.message]))
  }
  return {}
}

t.test('flags win over the environment, the environment over the file, the file over the defaults', async (t) => {
  const dir = t.testdir({
    'c.yaml': 'listen: { httpPort: 1, mqttPort: 11 }\nlog: { level: warn }\nheartbeat: { pingIntervalMs: 40s }\n',
  })
  const options = loadOptions({
    file: `${dir}/c.yaml`,
    environment: { TALLYMQ_LISTEN__HTTP_PORT: '2', TALLYMQ_LOG__LEVEL: 'error', PATH: '/bin' },
    flags: { listen: { httpPort: 3 } },
  })
  t.equal(options.listen.httpPort, 3)
  t.equal(options.log.level, 'error')
  t.equal(options.listen.mqttPort, 11)
  t.equal(options.heartbeat.pingIntervalMs, 40_000)
  t.equal(options.heartbeat.pongTimeoutMs, 15_000)
})

t.test('durations and sizes come out in the unit of the option', async (t) => {
  for (const [text, unit, expected] of [
    ['30s', 'ms', 30_000],
    ['1.5h', 'ms', 5_400_000],
    ['250ms', 'ms', 250],
    ['7d', 's', 604_800],
    ['250ms', 's', undefined],
    ['2MiB', 'bytes', 2_097_152],
    ['2 MB', 'bytes', 2_000_000],
    ['0.3B', 'bytes', undefined],
    ['2mib', 'bytes', undefined],
    ['-2MiB', 'bytes', undefined],
    ['1e3s', 'ms', undefined],
    ['99999999999999TiB', 'bytes', undefined],
    ['12', 'ms', undefined],
    ['', 'ms', undefined],
  ] as const) {
    t.equal(numberFromText(text, unit), expected, `${text || '(nothing)'} as ${unit}`)
  }
})

t.test('the environment sets every kind of option', async (t) => {
  const options = loadOptions({
    environment: {
      TALLYMQ_DATA_DIRECTORY: '42',
      TALLYMQ_LISTEN__MQTT_PORT: 'null',
      TALLYMQ_PRESENCE__ENABLED: 'false',
      TALLYMQ_LIMITS__MAXIMUM_PACKET_SIZE: '1MiB',
      TALLYMQ_LIMITS__MQTT311_SESSION_EXPIRY_INTERVAL_SEC: '2d',
      TALLYMQ_HTTP__ALLOWED_ORIGINS: '["https://a.example"]',
      TALLYMQ_PASSWORD: 'not an option',
      TALLYMQ_PORT: 'tcp://10.0.0.1:1883',
    },
  })
  t.equal(options.dataDirectory, '42', 'a text option takes digits as text')
  t.equal(options.listen.mqttPort, null)
  t.equal(options.presence.enabled, false)
  t.equal(options.limits.maximumPacketSize, 1_048_576)
  t.equal(options.limits.mqtt311SessionExpiryIntervalSec, 172_800)
  t.same(options.http.allowedOrigins, ['https://a.example'])
})

t.test('a name with _FILE reads the value from a file, as secrets are mounted', async (t) => {
  const hash = '$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
  const dir = t.testdir({ users: `- username: alice\n  passwordHash: ${hash}\n` })
  const environment = { TALLYMQ_ACCESS__MODE: 'rules', TALLYMQ_ACCESS__USERS_FILE: `${dir}/users` }
  t.same(loadOptions({ environment }).access.users, [{ username: 'alice', passwordHash: hash }])
  t.match(problemsOf({ environment: { TALLYMQ_ACCESS__USERS_FILE: `${dir}/none` } }), {
    TALLYMQ_ACCESS__USERS_FILE: /cannot be read \(ENOENT\)/,
  })
  t.match(problemsOf({ environment: { ...environment, TALLYMQ_ACCESS__USERS: '[]' } }), {
    TALLYMQ_ACCESS__USERS_FILE: /set one of the two/,
  })
  const leaked = problemsOf({ environment: { TALLYMQ_ACCESS__USERS: 'alice:hunter2' } })
  t.match(leaked, { 'access.users': /not shown.*TALLYMQ_ACCESS__USERS/ })
  t.notMatch(JSON.stringify(leaked), 'hunter2')
})

t.test('every complaint from every source arrives at once and says where it was written', async (t) => {
  const dir = t.testdir({ 'c.yaml': 'listen: { httpPort: high }\nlimit: {}\n' })
  t.match(
    problemsOf({
      file: `${dir}/c.yaml`,
      environment: {
        TALLYMQ_LOG__LEVEL: 'loud',
        TALLYMQ_LISTEN__HTPP_PORT: '1',
        TALLYMQ_STORAGE__MAP_SIZE_BYTES: '5 bananas',
      },
      flags: { listen: { mqttPort: -1 } },
    }),
    {
      'listen.httpPort': /'high' was given; .*c\.yaml/,
      limit: /did you mean 'limits'/,
      'log.level': /'loud'.*TALLYMQ_LOG__LEVEL/,
      'storage.mapSizeBytes': /'5 bananas'.*TALLYMQ_STORAGE__MAP_SIZE_BYTES/,
      TALLYMQ_LISTEN__HTPP_PORT: /did you mean TALLYMQ_LISTEN__HTTP_PORT/,
      'listen.mqttPort': /-1 was given.*command line/,
    },
  )
})

t.test('a file that is not a plain configuration is refused with the reason', async (t) => {
  const cases: Record<string, [string, RegExp]> = {
    'twice.yaml': ['log: { level: info }\nlog: { level: warn }\n', /unique/],
    'alias.yaml': ['log: &a { level: info }\npresence: *a\n', /anchor or alias/],
    'tag.yaml': ['log: !!js/function "x"\n', /tag/i],
    'list.yaml': ['- 1\n', /must hold sections/],
    'broken.json': ['{ "log": ', /./],
    'proto.yaml': ['__proto__: { polluted: true }\n', /no such option/],
  }
  const dir = t.testdir(Object.fromEntries(Object.entries(cases).map(([name, [text]]) => [name, text])))
  for (const [name, [, pattern]] of Object.entries(cases)) {
    t.match(Object.values(problemsOf({ file: `${dir}/${name}` })).join(), pattern, name)
  }
  t.match(problemsOf({ file: `${dir}/missing.yaml` }), { [`--config ${dir}/missing.yaml`]: /ENOENT/ })
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
})

t.test('an empty file and a JSON file are configurations', async (t) => {
  const dir = t.testdir({ 'empty.yaml': '# nothing\n', 'c.json': '{ "log": { "level": "warn" } }' })
  t.equal(loadOptions({ file: `${dir}/empty.yaml` }).log.level, 'info')
  t.equal(loadOptions({ file: `${dir}/c.json` }).log.level, 'warn')
})

t.test('each sample configuration loads', async (t) => {
  const directory = new URL('../../../config/', import.meta.url)
  const samples = readdirSync(directory).filter((name) => name.endsWith('.yaml'))
  t.same(samples.sort(), ['behind-a-proxy.yaml', 'development.yaml', 'production.yaml'])
  for (const sample of samples) {
    t.doesNotThrow(() => loadOptions({ file: new URL(sample, directory).pathname }), sample)
  }
})

t.test('the published schema is the one of the table; run `npm run schema` when this fails', async (t) => {
  const file = readFileSync(new URL('../../../config/tallymq.schema.json', import.meta.url), 'utf8')
  t.equal(file, publishedSchema())
})
