/**
 * The conformance suite against our own broker, 3.1.1 and 5.0 over TCP and WebSocket: what passes today may not fail
 * tomorrow. What does not pass is listed with its reason in `conformance/known-failures.json`; whoever makes one of
 * them pass takes it off the list.
 */
import { readFileSync } from 'node:fs'
import { build } from 'esbuild'
import t from 'tap'
import { CliProcess, startBroker } from '../support/cli-process.js'

const CONFORMANCE = new URL('../../conformance/', import.meta.url).pathname

interface Finding {
  readonly id: string
  readonly cases: readonly string[]
}
interface VersionSummary {
  readonly statements: number
  readonly wire: number
  readonly passed: number
  readonly failed: readonly Finding[]
  readonly vacuous: readonly Finding[]
  readonly remarks: readonly string[]
}

const OWN_BROKER = `${CONFORMANCE}own-broker`

t.test('every statement that passed passes, over TCP and WebSocket', async (t) => {
  const program = `${t.testdir()}/conformance.mjs`
  await build({
    entryPoints: [`${CONFORMANCE}main.ts`],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
  })
  const open = await startBroker(t, ['--config', `${OWN_BROKER}/open.yaml`])
  const limited = await startBroker(t, ['--config', `${OWN_BROKER}/limited.yaml`])
  const reduced = await startBroker(t, ['--config', `${OWN_BROKER}/reduced.yaml`])
  const suite = new CliProcess(process.execPath, [
    program,
    '--json',
    ...['--url', open.mqtt, '--url', `${open.ws}/mqtt`],
    ...['--restricted-url', limited.mqtt, '--limited-url', limited.mqtt, '--limited-url', reduced.mqtt],
    ...['--auth-url', limited.mqtt, '--auth-method', 'SCRAM-SHA-256'],
    ...['--user', 'tester', '--password', 'secret', '--denied-topic', 'denied/t'],
  ])
  const { output, errors } = await suite.ended
  t.equal(errors, '', 'every wire statement has a case, and no case names another')
  const found = JSON.parse(output) as Record<string, VersionSummary>
  const known = JSON.parse(readFileSync(`${CONFORMANCE}known-failures.json`, 'utf8')) as Record<string, object>
  for (const [version, wire] of [
    ['5.0', 236],
    ['3.1.1', 130],
  ] as const) {
    const { failed, vacuous, remarks, ...counts } = found[version] as VersionSummary
    const listed = Object.keys(known[version] ?? {})
    t.same(
      [...failed, ...vacuous].filter(({ id }) => !listed.includes(id)),
      [],
      `${version}: nothing fails but what is listed`,
    )
    const notPassed = [...failed, ...vacuous].map(({ id }) => id)
    t.same(
      listed.filter((id) => !notPassed.includes(id)),
      [],
      `${version}: what passes is taken off conformance/known-failures.json`,
    )
    t.same(remarks, [], `${version}: what SHOULD be done is done`)
    t.match(counts, { wire, passed: wire - listed.length }, `${version}: every wire statement was judged`)
  }
})
