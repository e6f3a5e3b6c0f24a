/** Every store operation of a fixed script fails once: nothing that was promised before is missing afterwards. */
import t from 'tap'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { checkStore, copyStore } from '../support/durable-state.js'
import { FailingStore, type FailingStoreOptions } from '../support/failing-store.js'
import { runStoreScript, type ScriptEnd } from '../support/store-script.js'
import { testBroker } from '../support/test-broker.js'

const FAULTS = [
  { fault: 'ENOSPC', code: 'STORE_FULL' },
  { fault: 'EIO', code: 'STORE_IO' },
  { fault: 'stall', code: null },
] as const

for (const { fault, code } of FAULTS) {
  t.test(`the Nth store operation fails with ${fault}, for every N`, async (t) => {
    let runs = 0
    for (let failAt = 1; ; failAt += 1) {
      const disk = new MemoryStore()
      const end = await failOnce(disk, { failAt, fault })
      if (end === null) break
      runs += 1
      if (code === null) t.ok(end.isStalled, `operation ${failAt}: nobody hears of a commit that does not settle`)
      else t.equal(end.failure?.code, code, `operation ${failAt} is told`)
      const problem = promisesBroken(disk, end)
      if (problem !== null) t.fail(`operation ${failAt}: ${problem}`)
    }
    t.ok(runs > 40, `${runs} operations failed, each once`)
  })
}

t.test('the script leaves nothing behind when no operation fails', async (t) => {
  const disk = new MemoryStore()
  const end = await runStoreScript(disk)
  t.equal(end.failure, null)
  t.equal(end.promised.size, 15)
  for (const key of end.promised.keys()) t.ok(end.seen.has(key), `${key} arrived`)
  t.ok(end.seen.has('gone'), 'the Will came')
})

/** @returns null when the script went through untouched. */
async function failOnce(disk: MemoryStore, options: FailingStoreOptions): Promise<ScriptEnd | null> {
  const store = new FailingStore(disk, options)
  const end = await runStoreScript(store, () => options.fault === 'stall' && store.fired)
  return store.fired ? end : null
}

/** Starts a broker on what the disk has, and lets the consumer fetch the rest. */
function promisesBroken(disk: MemoryStore, end: ScriptEnd): string | null {
  checkStore(disk)
  const host = testBroker({ store: copyStore(disk), clock: end.clock })
  const rest = host.resume('consumer').drain()
  for (const key of end.promised.keys()) {
    if (!end.seen.has(key) && !rest.includes(key)) return `'${key}' was promised and is gone`
  }
  for (const key of rest) {
    if (end.consumed.has(key)) return `'${key}' came again after its PUBREL`
    if (rest.indexOf(key) !== rest.lastIndexOf(key)) return `'${key}' came twice`
  }
  if (end.promised.has('m9') && host.connect('probe').subscribe('a/1').payloads()[0] !== 'm9')
    return 'm9 is not retained'
  host.core.checkpoint()
  host.settle()
  checkStore(host.store)
  return null
}
