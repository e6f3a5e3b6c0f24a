/** InflightTable against a Map: ids counting up and around, acknowledged in any order. */
import fc from 'fast-check'
import t from 'tap'
import { InflightTable } from '../../../src/core/inflight-table.js'
import { Copy } from '../../../src/core/message.js'

const TERMS = { qos: 1, retain: false, subscriptionIdentifiers: null, sharedSubscriptionNumber: 0 } as const

function copyOf(packetId: number, deliverySequence: number): Copy {
  const copy = new Copy(deliverySequence, null, TERMS, 1, null)
  copy.packetId = packetId
  copy.deliverySequence = deliverySequence
  return copy
}

t.test('it holds what a Map would hold, through growth and the turn of the ids', async (t) => {
  const steps = fc.array(fc.record({ isAdd: fc.boolean(), jump: fc.nat(3_000), pick: fc.nat(1_000) }), {
    maxLength: 400,
  })
  fc.assert(
    fc.property(steps, (script) => {
      const table = new InflightTable()
      const model = new Map<number, Copy>()
      let packetId = 65_000
      let sequence = 0
      for (const { isAdd, jump, pick } of script) {
        if (isAdd) {
          packetId = ((packetId + (jump > 2_900 ? jump : 0)) % 65_535) + 1
          if (model.has(packetId)) continue
          sequence += 1
          const copy = copyOf(packetId, sequence)
          table.add(copy)
          model.set(packetId, copy)
        } else {
          const ids = [...model.keys()]
          const id = ids[pick % Math.max(1, ids.length)] ?? 1
          if (table.delete(id) !== model.delete(id)) return false
        }
        if (table.size !== model.size) return false
      }
      const order = table.inOrder().map((copy) => copy.deliverySequence)
      return (
        [...model].every(([id, copy]) => table.get(id) === copy && table.has(id)) &&
        JSON.stringify(order) === JSON.stringify([...model.values()].map((copy) => copy.deliverySequence))
      )
    }),
    { numRuns: 1_000 },
  )
  t.pass('1,000 scripts agree')
})

t.test('every one of the 65,535 ids has a place', async (t) => {
  const table = new InflightTable()
  for (let packetId = 1; packetId <= 65_535; packetId += 1) table.add(copyOf(packetId, packetId))
  t.equal(table.size, 65_535)
  t.throws(() => table.add(copyOf(7, 70_000)), /not given out again/)
  t.equal(table.get(65_535)?.deliverySequence, 65_535)
  t.equal(table.get(0), undefined)
})
