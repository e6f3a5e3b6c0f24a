/** SIGKILL between the outbox and the broker: what was stored is delivered once by the next process, in order. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { connect, openLmdbOutbox } from '../../src/client/index.js'
import { createBroker, type OptionsInput, parseOptions } from '../../src/index.js'

const COUNT = 500

t.test('500 publishes stored offline survive a SIGKILL of their process', async (t) => {
  const directory = t.testdir()
  const options = (httpPort: number): OptionsInput => ({
    dataDirectory: join(directory, 'data'),
    listen: { host: '127.0.0.1', httpPort, mqttPort: null },
    log: { level: 'silent' },
  })
  const first = await createBroker(parseOptions(options(0)))
  const url = first.httpUrl.replace('http', 'ws')
  const consumer = await connect({ url, clientId: 'consumer', reconnect: { minDelayMs: 20, maxDelayMs: 50 } })
  const subscription = await consumer.subscribe('bill', { qos: 2 })

  const writer = join(import.meta.dirname, '../support/client-outbox-writer.ts')
  const argv = [...process.execArgv, writer, url, join(directory, 'outbox'), `${COUNT}`]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  await once(lines, 'line')
  const stored = once(lines, 'line')
  await first.stop()
  t.same(await stored, ['stored'])
  child.kill('SIGKILL')
  await once(child, 'exit')

  const second = await createBroker(parseOptions(options(Number(new URL(url).port))))
  const outbox = openLmdbOutbox(join(directory, 'outbox'))
  const heir = await connect({ url, clientId: 'killed', outbox })
  t.equal(heir.unfinishedPublishes, COUNT)
  const texts: string[] = []
  for await (const message of subscription) {
    texts.push(message.text())
    if (texts.length === COUNT) break
  }
  t.same(
    texts,
    Array.from({ length: COUNT }, (_, index) => `${index}`),
  )
  await heir.close({ drainTimeoutMs: 10_000 })
  t.equal((await outbox.load()).entries.length, 0)
  await consumer.close()
  await second.stop()
  await outbox.close()
})
