/** The demo is the main promise on real processes: a broker killed with SIGKILL, and books that balance. */
import t from 'tap'
import { tallymq } from '../support/cli-process.js'

t.test('devices publish, the broker is killed twice, nothing is lost and nothing billed twice', async (t) => {
  const { exitCode, output, errors } = await tallymq([
    'demo',
    '--devices',
    '20',
    '--messages',
    '4000',
    '--kills',
    '2',
    '--json',
  ])
  t.equal(exitCode, 0, errors)
  t.match(JSON.parse(output), {
    ok: true,
    kills: 2,
    billing: { published: 2_000, delivered: 2_000, lost: 0, duplicated: 0, outOfOrder: 0 },
    readings: { published: 2_000, delivered: 2_000, lost: 0 },
  })
  t.match(errors, /killed the broker with SIGKILL \(2 of 2\)/)
})
