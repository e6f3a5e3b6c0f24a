/** The publishers of the examples as processes of their own, killed by SIGKILL in the middle of their work. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { createBroker, parseOptions } from '../../src/index.js'
import { Bill, hearReadings } from './meter-lmdb.js'
import { shipOrders, Warehouse } from './orders-sqlite.js'

const PROGRAM = join(import.meta.dirname, 'order-process.ts')
const LAST = 60
/** Killed when it has said this number; the last run may end by itself. */
const KILLED_AT = [7, 20, 41, LAST + 1]

for (const kind of ['SQLite', 'LMDB']) {
  t.test(`${kind}: killed three times, and every number is there once and in order`, async (t) => {
    const directory = t.testdir({ source: {}, sink: {} })
    const broker = await createBroker(
      parseOptions({
        dataDirectory: join(directory, 'data'),
        listen: { host: '127.0.0.1', httpPort: 0, mqttPort: null },
        log: { level: 'silent' },
      }),
    )
    const url = broker.httpUrl.replace('http', 'ws')
    const warehouse = kind === 'SQLite' ? new Warehouse(join(directory, 'sink/warehouse.db')) : null
    const bill = kind === 'LMDB' ? new Bill(join(directory, 'sink/bill')) : null
    const consumer =
      warehouse === null ? await hearReadings(bill as Bill, { url }) : await shipOrders(warehouse, { url })
    const heard = new Promise<void>((resolve) => {
      consumer.on('message', (message) => {
        if (message.text() === `${LAST}`) resolve()
      })
    })
    for (const killedAt of KILLED_AT) await runProgram([kind, url, join(directory, 'source'), `${LAST}`], killedAt)
    await heard
    await consumer.close()
    t.same(
      warehouse?.shipments() ?? bill?.items(),
      Array.from({ length: LAST }, (_, index) => `${index + 1}`),
    )
    warehouse?.close()
    await bill?.close()
    await broker.stop()
  })
}

async function runProgram(argv: readonly string[], killedAt: number): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, PROGRAM, ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) if (Number(line) >= killedAt) child.kill('SIGKILL')
  const [code, signal] = await ended
  if (killedAt <= LAST ? signal !== 'SIGKILL' : code !== 0) throw new Error(`ended with ${code ?? signal}`)
}
