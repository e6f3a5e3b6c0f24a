/** A subscriber's book: what is lost, doubled, late or not its own is told apart. */
import t from 'tap'
import { DeliveryCheck } from '../../bench/generator/delivery-check.js'

function take(check: DeliveryCheck, publisher: number, ...sequences: number[]): void {
  for (const sequence of sequences) {
    const stamp = new DataView(new ArrayBuffer(12))
    stamp.setUint32(0, sequence)
    stamp.setUint32(4, publisher)
    check.take(new Uint8Array(stamp.buffer), 0)
  }
}

const told = (check: DeliveryCheck, ...published: number[]) => ({
  missing: check.missing((publisher) => published[publisher] ?? 0),
  duplicated: check.duplicated,
  outOfOrder: check.outOfOrder,
  astray: check.astray,
  received: check.received,
})
const FINE = { missing: 0, duplicated: 0, outOfOrder: 0, astray: 0 }

t.test('two publishers that take turns', async (t) => {
  const check = new DeliveryCheck(0, 2)
  take(check, 0, 0, 1)
  take(check, 1, 0)
  take(check, 0, 2)
  t.same(told(check, 3, 1), { ...FINE, received: 4 })
})

t.test('a gap is missing, until it comes late', async (t) => {
  const check = new DeliveryCheck(0, 1)
  take(check, 0, 0, 3, 4)
  t.same(told(check, 5), { ...FINE, missing: 2, received: 3 })
  take(check, 0, 2)
  t.same(told(check, 5), { ...FINE, missing: 1, outOfOrder: 1, received: 4 })
})

t.test('twice is twice, also when it was late the first time', async (t) => {
  const check = new DeliveryCheck(0, 1)
  take(check, 0, 0, 0, 2, 1, 1)
  t.same(told(check, 3), { ...FINE, duplicated: 2, outOfOrder: 1, received: 5 })
})

t.test('the tail that never came, and another pair’s message', async (t) => {
  const check = new DeliveryCheck(7, 1)
  take(check, 7, 0)
  take(check, 8, 0)
  t.same(
    check.missing((publisher) => (publisher === 7 ? 4 : 0)),
    3,
  )
  t.equal(check.astray, 1)
})
