/**
 * What the slots of a journal file hold: reads all of them at an opening, finds where the newest record ends, and says
 * what is damaged. For the broker and for those who look at a closed directory; nothing is written here.
 *
 * The last write alone may be incomplete, because there is never more than one under way: what it lacks was never
 * acknowledged, unless a mark in the slot or LMDB (`JournalState.newest`) knows better. Everything else that is missing
 * is damage.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { StoreEntry } from '../../../core/ports/store.js'
import { corruptRow } from '../value-frame.js'
import type { JournalState } from './journal-state.js'
import { KeyRanges } from './key-ranges.js'
import { laterRecord, newestRecord, RecordWalk, readMark, readSlotHead, SLOT_HEAD_BYTES } from './slot-format.js'
import { slotName, slotNames } from './slot-names.js'

export interface Slot {
  readonly name: string
  readonly path: string
  readonly bytes: number
  /** 0: never used. */
  epoch: number
  /** Where the next write goes; behind the last record. */
  end: number
  /** Its newest record; -1: none that counts. */
  newest: number
}

export interface JournalDamage {
  /** `byte 4711 of journal.3` */
  readonly place: string
  readonly sentence: string
}

/** The last write of the newest slot, to be made certain before anything relies on it. */
export interface LastWrite {
  readonly slot: Slot
  readonly from: number
  readonly until: number
}

export interface JournalContents {
  /** In the order in which they were filled. */
  readonly slots: Slot[]
  readonly ranges: KeyRanges
  readonly damages: readonly JournalDamage[]
  readonly lastWrite: LastWrite | null
}

/** @param state what LMDB knows of the journal; records up to `state.trimmed` are history. */
export function readJournal(directory: string, state: JournalState): JournalContents {
  const reader = new SlotReader(directory, state)
  for (const name of slotNames(directory)) reader.open(name)
  return reader.contents()
}

class SlotReader {
  readonly #directory: string
  readonly #state: JournalState
  readonly #slots: Slot[] = []
  readonly #bytes = new Map<Slot, Buffer>()
  readonly #damages: JournalDamage[] = []
  /** A record that was on the disk. */
  #known: number

  constructor(directory: string, state: JournalState) {
    this.#directory = directory
    this.#state = state
    this.#known = state.newest
  }

  open(name: string): void {
    const path = join(this.#directory, name)
    const bytes = readFileSync(path)
    const slot = { name, path, bytes: bytes.length, epoch: 0, end: SLOT_HEAD_BYTES, newest: -1 }
    const head = readSlotHead(bytes)
    this.#slots.push(slot)
    this.#bytes.set(slot, bytes)
    if (head?.databaseId.equals(this.#state.databaseId) === true) slot.epoch = head.epoch
    else if (newestRecord(bytes) > this.#state.trimmed) {
      const sentence =
        head === null ? 'its head is damaged' : 'it belongs to another database, or the row that names it is lost'
      this.#damages.push(damageAt(slot, 0, `${sentence}, but records lie in it`))
    }
  }

  contents(): JournalContents {
    const slots = this.#slots.sort((a, b) => a.epoch - b.epoch)
    const ranges = new KeyRanges()
    let lastWrite: LastWrite | null = null
    for (const slot of slots) {
      if (slot.epoch === 0) continue
      lastWrite = this.#read(slot, ranges, slot === slots.at(-1))
    }
    this.#checkNewest(ranges, slots.at(-1))
    return { slots, ranges, damages: this.#damages, lastWrite }
  }

  #read(slot: Slot, ranges: KeyRanges, isNewest: boolean): LastWrite {
    const bytes = this.#bytes.get(slot) as Buffer
    const walk = new RecordWalk(bytes, slot.epoch)
    this.#known = Math.max(this.#known, readMark(bytes, slot.epoch))
    const lastWriteOffset = isNewest ? lastWriteOf(bytes, slot.epoch) : Number.POSITIVE_INFINITY
    let from = 0
    while (walk.next()) {
      const isTorn = walk.writeOffset === lastWriteOffset && walk.number > this.#known && !walk.isValueWhole
      if (isTorn) break
      slot.end = walk.end
      slot.newest = walk.number
      from = walk.writeOffset
      if (walk.number > this.#state.trimmed && walk.number > ranges.newest) ranges.add(walk.number)
    }
    const later = laterRecord(bytes, slot.epoch, slot.end)
    if (later > this.#state.trimmed) {
      const sentence = `a record is damaged: ${later}, written later, lies behind it`
      this.#damages.push(damageAt(slot, slot.end, sentence))
    }
    return { slot, from, until: slot.end }
  }

  /** What was known to be on the disk is there, whatever the last write looks like. */
  #checkNewest(ranges: KeyRanges, slot: Slot | undefined): void {
    if (this.#known <= this.#state.trimmed || ranges.newest >= this.#known) return
    const sentence = `record ${this.#known} should be there, and is not`
    this.#damages.push(damageAt(slot ?? { name: slotName(0) }, slot?.end ?? 0, sentence))
  }
}

function damageAt({ name }: { readonly name: string }, offset: number, sentence: string): JournalDamage {
  return { place: `byte ${offset} of ${name}`, sentence }
}

function lastWriteOf(bytes: Buffer, epoch: number): number {
  const walk = new RecordWalk(bytes, epoch)
  while (walk.next());
  return walk.writeOffset
}

/**
 * The records that count, ascending. Slot by slot, each read as a whole: one that is filled anew meanwhile held only
 * records that are not wanted any more.
 * @throws StoreError STORE_CORRUPT, naming the row.
 */
export function* journalRows(
  slots: readonly Slot[],
  ranges: KeyRanges,
  from: Uint8Array,
  until: Uint8Array | undefined,
): IterableIterator<StoreEntry> {
  for (const { slot, epoch } of slots.map((each) => ({ slot: each, epoch: each.epoch }))) {
    if (slot.newest < ranges.oldest || slot.epoch !== epoch || epoch === 0) continue
    const walk = new RecordWalk(readStart(slot), epoch)
    while (walk.next()) {
      if (Buffer.compare(walk.key, from) < 0 || !ranges.has(walk.number)) continue
      if (until !== undefined && Buffer.compare(walk.key, until) >= 0) return
      const key = new Uint8Array(walk.key)
      const row = { table: 'journal', key } as const
      if (!walk.isValueWhole) throw corruptRow('journal', key, `its checksum does not match, in ${slot.name}`, { row })
      yield { key, value: new Uint8Array(walk.value) }
    }
  }
}

/** The records, without what a write under way is putting behind them. */
function readStart({ path, end }: Slot): Buffer {
  const bytes = Buffer.allocUnsafe(end)
  const descriptor = openSync(path, 'r')
  try {
    let at = 0
    while (at < end) {
      const read = readSync(descriptor, bytes, at, end - at, at)
      if (read === 0) break
      at += read
    }
    return bytes.subarray(0, at)
  } finally {
    closeSync(descriptor)
  }
}

/** Two ascending walks as one; no key is in both. Closes them when it is left early. */
export function* mergedByKey(
  one: IterableIterator<StoreEntry>,
  other: IterableIterator<StoreEntry>,
): IterableIterator<StoreEntry> {
  let first = one.next()
  let second = other.next()
  while (first.done !== true && second.done !== true) {
    if (Buffer.compare(first.value.key, second.value.key) < 0) {
      yield first.value
      first = one.next()
    } else {
      yield second.value
      second = other.next()
    }
  }
  for (; first.done !== true; first = one.next()) yield first.value
  for (; second.done !== true; second = other.next()) yield second.value
}
