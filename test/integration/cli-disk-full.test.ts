/**
 * A disk that is full, for real: the broker may not let its files grow beyond a bound (RLIMIT_FSIZE). It must stop by
 * itself, and a restart with room again must have every message that was acknowledged.
 */
import t from 'tap'
import { CliProcess, startBroker, tallymq } from '../support/cli-process.js'

const PROGRAM = new URL('../../dist/cli/main.js', import.meta.url).pathname
const FILE_KIB_MAX = 4_096
const LINES = 3_000

t.test('the broker exits with 70, and after a restart every acknowledged message is there', async (t) => {
  const data = `${t.testdir()}/data`
  const flags = `broker --data ${data} --http-port 0 --no-mqtt-port`
  const limited = new CliProcess('bash', [
    '-c',
    `ulimit -f ${FILE_KIB_MAX}; exec ${process.execPath} ${PROGRAM} ${flags}`,
  ])
  t.teardown(() => limited.child.kill('SIGKILL'))
  const [line] = await limited.saw(/\{"ready":true.*\n/)
  const url = (JSON.parse(line) as { http: string }).http.replace('http', 'ws')
  const session = ['sub', '-i', 'keeper', '-c', '-t', 'a', '-q', '1', '-F', '%.0t%12p']
  t.equal((await tallymq([...session, '--url', url, '-E'])).exitCode, 0)

  const sent = Array.from({ length: LINES }, (_, index) => String(index).padStart(12, '0'))
  const input = sent.map((text) => `${text}${'x'.repeat(4_000)}\n`).join('')
  const pub = await tallymq(['pub', '--url', url, '-t', 'a', '-q', '1', '-l', '--json'], {}, input)
  t.equal(pub.exitCode, 1, 'the publisher is told')
  const { published } = JSON.parse(pub.output) as { published: number }
  t.ok(published > 0 && published < LINES, `${published} acknowledged before the disk was full`)
  const { exitCode, errors } = await limited.ended
  t.equal(exitCode, 70)
  t.match(errors, /tallymq: the broker stopped itself: /)

  const { ws } = await startBroker(t, ['--data', data])
  const kept = await tallymq([...session, '--url', ws, '-C', String(published)])
  t.equal(kept.exitCode, 0)
  t.same(kept.output.trimEnd().split('\n'), sent.slice(0, published))
})
