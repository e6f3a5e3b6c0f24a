/**
 * The conformance suite against our own broker, 3.1.1 and 5.0, every case over TCP and WebSocket: what passes today may
 * not fail tomorrow. What does not pass is listed with its reason in `conformance/known-failures.json`; whoever
 * makes one of them pass takes it off the list. Mosquitto is the control: a case that fails there and is not listed in
 * `conformance/control-mosquitto.json` is probably a wrong case.
 */
import { readFileSync } from 'node:fs'
import { build } from 'esbuild'
import t from 'tap'
import { CliProcess, startBroker } from '../support/cli-process.js'
import { startMosquitto } from '../support/mosquitto-broker.js'
import { needs } from '../support/peers.js'

const CONFORMANCE = new URL('../../conformance/', import.meta.url).pathname
const OWN_BROKER = `${CONFORMANCE}own-broker`
const WIRE = [
  ['5.0', 236],
  ['3.1.1', 130],
] as const
const LOGIN = ['--user', 'tester', '--password', 'secret', '--denied-topic', 'denied/t']

interface Finding {
  readonly id: string
  readonly cases: readonly string[]
}
interface VersionSummary {
  readonly statements: number
  readonly wire: number
  readonly tested: number
  readonly passed: number
  readonly failed: readonly Finding[]
  readonly vacuous: readonly Finding[]
  readonly remarks: readonly string[]
}
interface VersionReport extends VersionSummary {
  readonly transports?: Readonly<Record<string, VersionSummary>>
}

const program = `${t.testdir()}/conformance.mjs`
t.before(() =>
  build({
    entryPoints: [`${CONFORMANCE}main.ts`],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
  }),
)

async function run(args: readonly string[]): Promise<{ errors: string; found: Record<string, VersionReport> }> {
  const { output, errors } = await new CliProcess(process.execPath, [program, '--json', ...args]).ended
  return { errors, found: JSON.parse(output) }
}

function listOf(file: string): Record<string, object> {
  return JSON.parse(readFileSync(`${CONFORMANCE}${file}`, 'utf8'))
}

t.test('every statement that passed passes, over TCP and over WebSocket', async (t) => {
  const open = await startBroker(t, ['--config', `${OWN_BROKER}/open.yaml`])
  const limited = await startBroker(t, ['--config', `${OWN_BROKER}/limited.yaml`])
  const reduced = await startBroker(t, ['--config', `${OWN_BROKER}/reduced.yaml`])
  const both = (flag: string, { mqtt, ws }: { mqtt: string; ws: string }) => [flag, mqtt, flag, `${ws}/mqtt`]
  const { errors, found } = await run([
    ...both('--url', open),
    ...both('--restricted-url', limited),
    ...both('--limited-url', limited),
    ...both('--limited-url', reduced),
    ...both('--auth-url', limited),
    ...['--auth-method', 'SCRAM-SHA-256', ...LOGIN],
  ])
  t.equal(errors, '', 'every wire statement has a case, and no case names another')
  const known = listOf('known-failures.json')
  for (const [version, wire] of WIRE) {
    const { transports, ...all } = found[version] as VersionReport
    t.same(Object.keys(transports ?? {}), ['mqtt', 'ws'], `${version}: both transports were judged`)
    const listed = Object.keys(known[version] ?? {})
    for (const [over, each] of Object.entries({ ...transports, both: all })) {
      const { failed, vacuous, remarks, ...counts } = each
      const notPassed = [...failed, ...vacuous].map(({ id }) => id)
      const unknown = [...failed, ...vacuous].filter(({ id }) => !listed.includes(id))
      t.same(unknown, [], `${version}, ${over}: nothing fails but what is listed`)
      const mended = listed.filter((id) => !notPassed.includes(id))
      t.same(mended, [], `${version}, ${over}: what passes is taken off conformance/known-failures.json`)
      t.same(remarks, [], `${version}, ${over}: what SHOULD be done is done`)
      t.match(counts, { wire, passed: wire - listed.length }, `${version}, ${over}: every wire statement was judged`)
    }
  }
})

t.test('one URL of any broker: the same object, without what is ours', async (t) => {
  const open = await startBroker(t, ['--config', `${OWN_BROKER}/open.yaml`])
  const { errors, found } = await run(['--url', open.mqtt, '--version', '311'])
  t.equal(errors, '')
  t.same(Object.keys(found), ['3.1.1'])
  const { statements, wire, tested, passed, failed, vacuous, transports } = found['3.1.1'] as VersionReport
  t.same({ statements, wire, failed, transports }, { statements: 141, wire: 130, failed: [], transports: undefined })
  t.equal(tested, passed)
  t.equal(passed + vacuous.length, 130)
  t.ok(vacuous.length > 0, 'there is no WebSocket, and nothing is refused')
})

t.test('on Mosquitto fails what is known to, and nothing else', needs('mosquitto'), async (t) => {
  const rules = (directory: string) => [`password_file ${directory}/users`, `acl_file ${directory}/rules`]
  const [tcp, ws, restrictedTcp, restrictedWs] = await startMosquitto(
    t,
    4,
    ([tcp, ws, restrictedTcp, restrictedWs], directory) => [
      'per_listener_settings true',
      ...[`listener ${tcp} 127.0.0.1`, 'allow_anonymous true'],
      ...[`listener ${ws} 127.0.0.1`, 'protocol websockets', 'allow_anonymous true'],
      ...[`listener ${restrictedTcp} 127.0.0.1`, ...rules(directory)],
      ...[`listener ${restrictedWs} 127.0.0.1`, 'protocol websockets', ...rules(directory)],
    ],
    {
      // The password is "secret".
      users:
        'tester:$7$101$3p9UTwoP3sSZyn8k$' +
        '3c0VFIfQWrSb77hSDWJHNxXhpPac/V7ML/S+DOO9qxBvVb0lb6qNvJdPrSj5URFl7Ho2S6NhFS6aKl7pjjYt0Q==\n',
      rules: 'user tester\ntopic deny denied/t\ntopic readwrite #\n',
    },
  )
  const { errors, found } = await run([
    ...['--url', `mqtt://127.0.0.1:${tcp}`, '--url', `ws://127.0.0.1:${ws}/mqtt`, ...LOGIN],
    ...['--restricted-url', `mqtt://127.0.0.1:${restrictedTcp}`],
    ...['--restricted-url', `ws://127.0.0.1:${restrictedWs}/mqtt`],
  ])
  t.equal(errors, '')
  const known = listOf('control-mosquitto.json')
  for (const [version, wire] of WIRE) {
    const { failed, passed, vacuous } = found[version] as VersionReport
    const listed = Object.keys(known[version] ?? {})
    const unknown = failed.filter(({ id }) => !listed.includes(id))
    t.same(unknown, [], `${version}: nothing fails but what is listed`)
    t.ok(failed.length > 0, `${version}: the suite sees faults of others`)
    t.equal(passed + failed.length + vacuous.length, wire, `${version}: every wire statement was judged`)
    t.ok(passed > wire * 0.75, `${version}: ${passed} passed`)
  }
})
