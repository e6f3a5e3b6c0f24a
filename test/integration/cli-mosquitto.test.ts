/** Beside mosquitto's own clients: the same broker, the same message, the same format, the same line. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { CliProcess, startBroker, tallymq } from '../support/cli-process.js'
import { needs } from '../support/peers.js'

t.test(
  'mosquitto_pub publishes to it, and formats come out as mosquitto_sub prints them',
  needs('mosquitto_sub'),
  async (t) => {
    const { ws, mqttPort } = await startBroker(t, ['--store', 'memory'])
    const mosquitto = ['-h', '127.0.0.1', '-p', mqttPort, '-V', 'mqttv5']
    const properties = [
      'content-type',
      'text/plain',
      'response-topic',
      'r',
      'correlation-data',
      'c',
      'payload-format-indicator',
      '1',
    ]
    const flags = ['-t', 'a/1', '-m', '{"b":1, "a":[1.50,"\\u00e9"]}', '-q', '1', '-r']
    for (let index = 0; index < properties.length; index += 2)
      flags.push('-D', 'publish', ...properties.slice(index, index + 2))
    flags.push('-D', 'publish', 'user-property', 'k', 'v w')
    const pub = spawn('mosquitto_pub', [...mosquitto, ...flags])
    t.same(await once(pub, 'close'), [0, null])
    const formats = [
      '%t|%p|%q|%r|%l|%x|%X|%C|%D|%F|%R|%S',
      '[%12t] [%-9t] [%.2t] [%05l] [%8p]',
      '%P%%\\t@Y',
      '%j',
      '%J',
    ]
    for (const format of formats) {
      const print = ['-t', 'a/#', '-C', '1', '-q', '1', '-F', format]
      const theirs = await new CliProcess('mosquitto_sub', [...mosquitto, ...print]).ended
      for (const target of [
        ['--url', ws],
        ['-p', mqttPort],
      ]) {
        const ours = await tallymq(['sub', ...target, ...print])
        t.equal(comparable(ours.output), comparable(theirs.output), format)
      }
    }
  },
)

/** The moment of arrival differs, and so may the order of properties: ours is fixed, theirs is the sender's. */
function comparable(output: string): unknown {
  if (!output.startsWith('{')) return output
  const { tst, properties, ...rest } = JSON.parse(output) as { tst: string; properties: object }
  return JSON.stringify([tst.replace(/\d/g, 'd'), Object.entries(properties).sort(), rest])
}
