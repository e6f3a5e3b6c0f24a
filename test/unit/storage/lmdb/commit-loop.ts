/**
 * A child process for the kill tests, not a test: opens the store given as first argument and commits journal records
 * for ever, several under way at a time, trimming old ones. Writes `open`, then the number of each commit that is done.
 */
import { writeSync } from 'node:fs'
import { STORE_TABLES } from '../../../../src/core/ports/store.js'
import type { Durability } from '../../../../src/storage/lmdb/environment.js'
import { openLmdbStore } from '../../../../src/storage/lmdb/open-lmdb-store.js'
import { bytes, put, remove, sequenceKey } from '../../../contract/store-contract.js'

const [directory = '', durability = 'flush', task = 'commit'] = process.argv.slice(2)
const COMMITS_UNDER_WAY = 4
const KEPT = 300

const store = await openLmdbStore({
  directory,
  durability: durability as Durability,
  commitTimeoutMs: 10_000,
  timers: { nowMs: () => 0, schedule: () => ({ cancel: () => undefined }) },
})
writeSync(1, 'open\n')

const last = store.get('meta', bytes(1))
let sequence = last === undefined ? 0 : Number(Buffer.from(last).readBigUInt64BE())

function commitNext(): void {
  sequence += 1
  const mine = sequence
  // Sizes from a few bytes to many pages; a row in every table, so that a torn commit would show.
  const record = new Uint8Array(((mine * 7_919) % 40) * 1_000).fill(mine)
  const operations = [put('journal', sequenceKey(mine), record), put('meta', bytes(1), sequenceKey(mine))]
  for (const table of STORE_TABLES) {
    if (table !== 'journal' && table !== 'meta') operations.push(put(table, bytes(7), sequenceKey(mine)))
  }
  if (mine > KEPT) operations.push(remove('journal', sequenceKey(mine - KEPT)))
  store.commit(operations, (error) => {
    if (error !== null) process.exit(3)
    writeSync(1, `${mine}\n`)
    commitNext()
  })
}

if (task === 'commit') for (let slot = 0; slot < COMMITS_UNDER_WAY; slot += 1) commitNext()
// The store alone does not keep a process running; this one waits to be killed.
else process.stdin.resume()
