/** Lines of the log: what they hold, and how many there are in a flood. */
import t from 'tap'
import { Log } from '../../../src/telemetry/log.js'
import { FakeClock } from '../../support/fake-clock.js'

const link = { transport: 'ws', protocol: 'mqtt', remoteAddress: '127.0.0.1:1' } as const

function capture(level: 'info' | 'silent' | 'error' = 'info') {
  const lines: Record<string, unknown>[] = []
  const clock = new FakeClock()
  const log = new Log({ level, clock, stream: { write: (line: string) => lines.push(JSON.parse(line)) } })
  return { log, clock, lines }
}

t.test('an event is one line with its fields and a readable reason', async (t) => {
  const { log, lines } = capture()
  log.emit({ type: 'protocol-error', clientId: 'c1', link, reasonCode: 0x81, detail: 'bad' })
  t.match(lines, [{ msg: 'protocol-error', clientId: 'c1', reason: '0x81 MALFORMED_PACKET', detail: 'bad', level: 40 }])
})

t.test('a flood is cut off and counted', async (t) => {
  const { log, clock, lines } = capture()
  for (let index = 0; index < 1_000; index += 1) {
    log.emit({ type: 'protocol-error', clientId: null, link, reasonCode: 0x82, detail: 'x'.repeat(10_000) })
  }
  t.equal(lines.length, 50)
  t.equal(String(lines[0]?.detail).length, 256)
  log.emit({ type: 'will-fired', clientId: 'c', topicName: 't' })
  clock.advance(1_000)
  log.emit({ type: 'protocol-error', clientId: null, link, reasonCode: 0x82, detail: 'later' })
  t.match(lines.slice(50), [{ event: 'protocol-error', suppressed: 950 }, { detail: 'later' }])
})

t.test('the level decides, and secrets are redacted', async (t) => {
  const { log, lines } = capture('error')
  log.emit({ type: 'protocol-error', clientId: null, link, reasonCode: 0x82, detail: 'x' })
  t.same(lines, [])
  log.fatal(new Error('disk'))
  t.match(lines, [{ level: 60, err: { message: 'disk' } }])
  const other = capture()
  other.log.info({ password: 'secret', user: { password: 'secret' } }, 'hello')
  t.notMatch(JSON.stringify(other.lines), /secret/)
})
