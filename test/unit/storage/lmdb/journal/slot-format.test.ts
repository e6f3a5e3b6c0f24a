/** Records in a slot: which count, after every kind of torn, stale and damaged write. */
import t from 'tap'
import {
  laterRecord,
  MARK_OFFSET,
  newestRecord,
  RECORD_HEAD_BYTES,
  RecordWalk,
  readMark,
  readSlotHead,
  recordBytes,
  SLOT_HEAD_BYTES,
  writeMark,
  writeRecord,
  writeSlotHead,
} from '../../../../../src/storage/lmdb/journal/slot-format.js'
import { sequenceKey } from '../../../../contract/store-contract.js'

const databaseId = Buffer.from('12345678')

/** A slot whose writes are lists of record numbers; every value is 20 bytes of that number. */
class Slot {
  readonly bytes = Buffer.alloc(4_096)
  epoch = 7
  run = 1
  end = SLOT_HEAD_BYTES

  constructor() {
    writeSlotHead(this.bytes, { epoch: this.epoch, databaseId })
  }

  write(...numbers: number[]): this {
    const writeOffset = this.end === SLOT_HEAD_BYTES ? 0 : this.end
    const mark = { epoch: this.epoch, run: this.run, writeOffset }
    for (const number of numbers) {
      const value = new Uint8Array(20).fill(number)
      this.end = writeRecord(this.bytes, this.end, mark, sequenceKey(number), value)
    }
    return this
  }

  /** A process that starts on it goes on where records end. */
  reopen(run: number): this {
    this.run = run
    const walk = new RecordWalk(this.bytes, this.epoch)
    while (walk.next());
    this.end = walk.end
    return this
  }

  get numbers(): number[] {
    const walk = new RecordWalk(this.bytes, this.epoch)
    const found: number[] = []
    while (walk.next()) found.push(walk.number)
    return found
  }
}

const RECORD = recordBytes(20)

t.test('a head and records come back as they were', async (t) => {
  const slot = new Slot().write(3).write(4, 5)
  t.same(readSlotHead(slot.bytes), { epoch: 7, databaseId })
  const walk = new RecordWalk(slot.bytes, 7)
  for (const number of [3, 4, 5]) {
    t.equal(walk.next(), true)
    t.equal(walk.number, number)
    t.same(new Uint8Array(walk.key), sequenceKey(number))
    t.same(new Uint8Array(walk.value), new Uint8Array(20).fill(number))
    t.equal(walk.isValueWhole, true)
  }
  t.equal(walk.next(), false)
  t.equal(walk.end, slot.end)
  t.equal(new RecordWalk(slot.bytes, 6).next(), false, 'of another use of the slot nothing counts')
})

t.test('every flipped bit of a head ends the records before it', async (t) => {
  const slot = new Slot().write(1).write(2).write(3)
  const second = SLOT_HEAD_BYTES + RECORD
  for (let bit = 0; bit < 8 * RECORD_HEAD_BYTES; bit += 1) {
    slot.bytes[second + (bit >>> 3)] = (slot.bytes[second + (bit >>> 3)] as number) ^ (1 << (bit & 7))
    t.same(slot.numbers, [1])
    t.equal(laterRecord(slot.bytes, 7, second), 3, 'and the later write shows that it was damaged, not torn')
    slot.bytes[second + (bit >>> 3)] = (slot.bytes[second + (bit >>> 3)] as number) ^ (1 << (bit & 7))
  }
  t.same(slot.numbers, [1, 2, 3])
})

t.test('every flipped bit of a value is known', async (t) => {
  const slot = new Slot().write(1)
  for (let bit = 0; bit < 8 * 20; bit += 1) {
    const at = SLOT_HEAD_BYTES + RECORD_HEAD_BYTES + (bit >>> 3)
    slot.bytes[at] = (slot.bytes[at] as number) ^ (1 << (bit & 7))
    const walk = new RecordWalk(slot.bytes, 7)
    t.equal(walk.next(), true)
    t.equal(walk.isValueWhole, false)
    slot.bytes[at] = (slot.bytes[at] as number) ^ (1 << (bit & 7))
  }
})

t.test('the rest of a torn write neither counts nor looks like damage', async (t) => {
  const slot = new Slot().write(1).write(2, 3, 4)
  slot.bytes.fill(0, SLOT_HEAD_BYTES + RECORD, SLOT_HEAD_BYTES + 2 * RECORD)
  t.same(slot.numbers, [1], 'record 2 has not reached the disk, 3 and 4 have')
  t.equal(laterRecord(slot.bytes, 7, SLOT_HEAD_BYTES + RECORD), -1)
})

t.test('the rest of a torn write does not count when a shorter one is put over its beginning', async (t) => {
  for (const run of [1, 2]) {
    const slot = new Slot().write(1).write(2, 3, 4)
    slot.bytes.fill(0, SLOT_HEAD_BYTES + RECORD, SLOT_HEAD_BYTES + 2 * RECORD)
    slot.reopen(run).write(2)
    if (run === 1) t.same(slot.numbers, [1, 2, 3, 4], 'the same run would believe its rest: that is what a run is for')
    else t.same(slot.numbers, [1, 2], 'what begins exactly where the new write ends is of another run')
    t.equal(laterRecord(slot.bytes, 7, slot.end), -1)
  }
})

t.test('a slot that is filled again does not count what it held before, even at the same place', async (t) => {
  const slot = new Slot().write(1).write(2).write(3)
  slot.epoch = 8
  slot.end = SLOT_HEAD_BYTES
  writeSlotHead(slot.bytes, { epoch: 8, databaseId })
  slot.write(4)
  t.same(slot.numbers, [4])
  t.equal(laterRecord(slot.bytes, 8, slot.end), -1)
})

t.test('numbers that do not ascend end the records', async (t) => {
  t.same(new Slot().write(5).write(5).numbers, [5])
  t.same(new Slot().write(5).write(4).numbers, [5])
})

t.test('a length that reaches beyond the slot ends the records', async (t) => {
  const slot = new Slot().write(1)
  const short = new RecordWalk(slot.bytes.subarray(0, slot.end - 1), 7)
  t.equal(short.next(), false)
})

t.test('what was never written, or is damaged, has no head; its records are found all the same', async (t) => {
  t.equal(readSlotHead(Buffer.alloc(100)), null)
  t.equal(readSlotHead(Buffer.alloc(10)), null)
  t.equal(newestRecord(Buffer.alloc(4_096)), -1)
  const slot = new Slot().write(1).write(9)
  for (let bit = 0; bit < 8 * MARK_OFFSET; bit += 1) {
    slot.bytes[bit >>> 3] = (slot.bytes[bit >>> 3] as number) ^ (1 << (bit & 7))
    t.equal(readSlotHead(slot.bytes), null)
    slot.bytes[bit >>> 3] = (slot.bytes[bit >>> 3] as number) ^ (1 << (bit & 7))
  }
  t.equal(newestRecord(slot.bytes), 9)
})

t.test('a mark names a record of its own epoch, or none', async (t) => {
  const { bytes } = new Slot().write(1)
  t.equal(readMark(bytes, 7), -1)
  writeMark(bytes.subarray(MARK_OFFSET), 7, 2 ** 40)
  t.equal(readMark(bytes, 7), 2 ** 40)
  t.equal(readMark(bytes, 8), -1)
  bytes[MARK_OFFSET + 9] = 1
  t.equal(readMark(bytes, 7), -1)
  t.same(readSlotHead(bytes), { epoch: 7, databaseId }, 'the head does not change with it')
})
