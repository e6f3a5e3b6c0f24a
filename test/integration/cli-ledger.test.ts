/** `tallymq ledger` and `tallymq explain` on what a killed broker has left, and on a copy of it. */
import { createHash } from 'node:crypto'
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../../src/client/index.js'
import { slotNames } from '../../src/storage/lmdb/journal/slot-names.js'
import { BrokerProcess } from '../support/broker-process.js'
import { tallymq } from '../support/cli-process.js'
import { copyDirectory } from '../support/copy-directory.js'

interface Verdict {
  readonly isWhole: boolean
  readonly problems: readonly { readonly kind: string; readonly table: string | null; readonly key: string | null }[]
  readonly state: { readonly sessions: number; readonly copies: number } | null
  readonly books: { readonly recordsCompared: number }
}

const parent = t.testdir()
const live = join(parent, 'live')
const killed = join(parent, 'killed')

/** Names and bytes of everything in a directory but sockets. */
function digestOf(directory: string): string {
  const hash = createHash('sha256')
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    hash.update(entry.name)
    if (entry.isFile()) hash.update(readFileSync(join(directory, entry.name)))
  }
  return hash.digest('hex')
}

const ledger = (...args: string[]) => tallymq(['ledger', ...args])
let lastMessageId = 0

t.before(async () => {
  const broker = await BrokerProcess.start(t, { directory: live })
  const biller = await connect({
    url: broker.url,
    clientId: 'biller',
    sessionExpiryIntervalSec: 3_600,
    cleanStart: false,
  })
  const billed = await biller.subscribe('meters/#', { qos: 1 })
  const archive = await connect({
    url: broker.url,
    clientId: 'archive',
    sessionExpiryIntervalSec: 3_600,
    cleanStart: false,
  })
  await archive.subscribe('meters/#', { qos: 2 })
  await archive.close()
  const meter = await connect({ url: broker.url, clientId: 'meter, "north"', sessionExpiryIntervalSec: 0 })
  for (let number = 1; number <= 20; number += 1) await meter.publish('meters/7/kwh', `${number}`, { qos: 1 })
  let received = 0
  for await (const message of billed) {
    lastMessageId = Math.max(lastMessageId, message.messageId ?? 0)
    received += 1
    if (received === 20) break
  }
  // What it has acknowledged is in the journal once the broker has answered something that came later.
  await biller.ping()
  await meter.publish('meters/7/kwh', 'the last one', { qos: 1 })
  broker.kill()
  await broker.ended
  await Promise.allSettled([biller.close(), meter.close()])
  copyDirectory(live, killed)
})

t.test('verify finds the directory of a killed broker whole, in place and as a copy, and writes nothing', async (t) => {
  for (const directory of [live, killed]) {
    const before = digestOf(directory)
    const { exitCode, output, errors } = await ledger('verify', '--data', directory, '--json')
    t.equal(exitCode, 0, errors + output)
    const verdict = JSON.parse(output) as Verdict
    t.match(verdict, { isWhole: true, problems: [], state: { sessions: 2 } })
    t.ok((verdict.state?.copies ?? 0) >= 21, 'the archive waits for all of them')
    t.ok(verdict.books.recordsCompared > 0)
    t.equal(digestOf(directory), before, 'nothing was written')
  }
  const { exitCode, output } = await ledger('verify', '--data', killed)
  t.equal(exitCode, 0)
  t.match(output, /is whole\./)
  t.match(output, /a new one when a broker starts on this copy/)
})

t.test('show and export have every account, and only those that are asked for', async (t) => {
  const shown = await ledger('show', '--data', killed)
  t.equal(shown.exitCode, 0, shown.errors)
  t.match(shown.output, /meter, "north" \(transient\) +meters +21 /)
  t.match(shown.output, /archive +meters +0 +0 +0 +21 +0 +0 +0 +0 +0 +21\n/)
  const lines = (await ledger('export', '--data', killed)).output.trimEnd().split('\n')
  t.match(lines[0], /^hour,is_closed,client_id,topic_class,is_transient,accepted,accepted_bytes,/)
  t.ok(lines.some((line) => line.includes(',"meter, ""north""",meters,true,21,')))
  t.ok(lines.every((line) => line.replaceAll(/"(?:[^"]|"")*"/g, '').split(',').length === lines[0]?.split(',').length))
  const one = await ledger('export', '--data', killed, '--json', '--client', 'archive', '--topic-class', 'meters')
  const [row, ...more] = one.output.trimEnd().split('\n')
  t.same(more, [])
  t.match(JSON.parse(row ?? ''), {
    client_id: 'archive',
    topic_class: 'meters',
    enqueued: 21,
    delivered: 0,
    queued: 21,
  })
  const before = await ledger('export', '--data', killed, '--json', '--to', '2020-01-01')
  t.equal(before.output, '')
  const after = await ledger('export', '--data', killed, '--json', '--from', '2020-01-01T07')
  t.ok(after.output.includes('"archive"'))
})

t.test('explain tells what has become of a message', async (t) => {
  const { exitCode, output, errors } = await tallymq(['explain', String(lastMessageId), '--data', killed])
  t.equal(exitCode, 0, errors)
  t.match(output, new RegExp(`message ${lastMessageId}: one copy is not done`))
  t.match(output, /topic +meters\/7\/kwh, QoS 1, 2 bytes/)
  t.match(output, /from +meter, "north", topic class meters/)
  t.match(output, /accepted +20\d\d-.*Z, journal record \d+/)
  t.match(output, /durable +20\d\d-.*Z/)
  t.match(
    output,
    /to biller \(session \d+\): not owed any more\n +record \d+: sent, packet id \d+\n +record \d+: acknow/,
  )
  t.match(output, /to archive \(session \d+\): queued, place 20 of 21\n/)
  const json = await tallymq(['explain', String(lastMessageId), '--data', killed, '--json'])
  t.match(JSON.parse(json.output), { messageId: lastMessageId, state: 'waiting', copies: [{}, {}] })
  const unknown = await tallymq(['explain', '999999', '--data', killed])
  t.equal(unknown.exitCode, 1)
  t.match(unknown.output, /no message has had this number yet; the next one gets 22/)
})

t.test('a flipped bit is named, and the exit code says so', async (t) => {
  const damaged = join(parent, 'damaged')
  cpSync(killed, damaged, { recursive: true })
  const holds = (name: string) => readFileSync(join(damaged, name)).includes('the last one')
  const path = join(damaged, ['data.mdb', ...slotNames(damaged)].find(holds) ?? '')
  const at = readFileSync(path).lastIndexOf('the last one')
  const descriptor = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(descriptor, byte, 0, 1, at)
  byte[0] = (byte[0] as number) ^ 1
  writeSync(descriptor, byte, 0, 1, at)
  closeSync(descriptor)
  const { exitCode, output } = await ledger('verify', '--data', damaged)
  t.equal(exitCode, 1)
  t.match(output, /DAMAGED {2}table journal, journal record \d+, row 0x[0-9a-f]{16}\n.*its checksum does not match/)
  t.match(output, /these bytes are not the ones that were written/)
  const json = JSON.parse((await ledger('verify', '--data', damaged, '--json')).output) as Verdict
  t.equal(json.isWhole, false)
  t.match(json.problems[0], { kind: 'DAMAGED', table: 'journal' })
})

t.test('a file that has been cut short ends in a sentence, not in a signal', async (t) => {
  for (const bytes of [0, 5_000, 30_000]) {
    const cut = join(parent, `cut-${bytes}`)
    cpSync(killed, cut, { recursive: true })
    truncateSync(join(cut, 'data.mdb'), bytes)
    const { exitCode, signal, output } = await ledger('verify', '--data', cut)
    t.equal(signal, null)
    t.equal(exitCode, 1)
    t.match(output, /DAMAGED/)
    const explained = await tallymq(['explain', '1', '--data', cut])
    t.equal(explained.exitCode, 1)
    t.match(explained.errors, /is damaged|cannot read/)
  }
})

t.test('a directory that a broker holds is refused, with what to do', async (t) => {
  const held = join(parent, 'held')
  const broker = await BrokerProcess.start(t, { directory: held })
  for (const args of [
    ['ledger', 'verify'],
    ['ledger', 'show'],
    ['ledger', 'export'],
    ['explain', '1'],
  ]) {
    const { exitCode, errors } = await tallymq([...args, '--data', held])
    t.equal(exitCode, 66)
    t.match(errors, new RegExp(`in use by process ${broker.pid}. Stop the broker first`))
  }
})

t.test('what is no data directory, and wrong arguments', async (t) => {
  const empty = join(parent, 'empty')
  mkdirSync(empty)
  t.match(await ledger('verify', '--data', empty), { exitCode: 66, errors: /holds no store/ })
  t.match(await ledger('verify', '--data', join(parent, 'nowhere')), { exitCode: 66, errors: /is no directory/ })
  t.same(readdirSync(empty), [])
  t.match(await ledger('verify'), { exitCode: 64, errors: /--data names the directory/ })
  t.match(await ledger('mend', '--data', killed), { exitCode: 64, errors: /none of verify, show, export/ })
  t.match(await ledger('show', '--data', killed, '--from', 'yesterday'), { exitCode: 64, errors: /is no time/ })
  t.match(await tallymq(['explain', 'x', '--data', killed]), { exitCode: 64 })
})
