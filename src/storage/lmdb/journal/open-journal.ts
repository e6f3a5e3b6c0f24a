/** Opens the journal file of a directory whose LMDB is open: what LMDB knows of it, what lies in it, is it whole. */
import { StoreError } from '../../../core/ports/store.js'
import { attempt, commitError } from '../commit-errors.js'
import type { Durability, Environment } from '../environment.js'
import { JournalFile, SLOT_BYTES_DEFAULT, settleJournal } from './journal-file.js'
import { readJournal } from './journal-slots.js'
import {
  JOURNAL_STATE_BYTES,
  JOURNAL_STATE_KEY,
  type JournalState,
  newJournalState,
  readJournalState,
  writeJournalState,
} from './journal-state.js'

/** @throws StoreError STORE_CORRUPT: something is missing in the journal file that was acknowledged. */
export async function openJournal(
  directory: string,
  durability: Durability,
  environment: Environment,
  slotBytes = SLOT_BYTES_DEFAULT,
): Promise<JournalFile> {
  const state = await knownJournalState(directory, environment)
  return attempt(directory, () => {
    const contents = readJournal(directory, state)
    const [damage] = contents.damages
    if (damage !== undefined) {
      throw new StoreError(
        'STORE_CORRUPT',
        `the journal file in ${directory} is damaged at ${damage.place}: ${damage.sentence}. ` +
          'Nothing was changed; `tallymq ledger verify` shows all there is, restore a backup',
      )
    }
    if (durability === 'flush') settleJournal(directory, contents)
    return new JournalFile({ directory, isFlushed: durability === 'flush', slotBytes, state, contents })
  })
}

/** The id must be on the disk before a record that bears it. */
async function knownJournalState(directory: string, { journalState }: Environment): Promise<JournalState> {
  const row = journalState.get(JOURNAL_STATE_KEY)
  if (row !== undefined) return attempt(directory, () => readJournalState(row))
  const state = newJournalState()
  const bytes = Buffer.alloc(JOURNAL_STATE_BYTES)
  writeJournalState(bytes, 0, state)
  await journalState.put(JOURNAL_STATE_KEY, bytes).catch((error: unknown) => {
    throw commitError(error, directory, bytes.length)
  })
  return state
}
