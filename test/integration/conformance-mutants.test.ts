/**
 * Does the conformance suite see what is wrong? Here: the whole list of faults still fits source and suite, and a few
 * of them, from codec and core, are planted and caught; a change that is no fault is not. `npm run conformance:mutants`
 * plants all of them.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { judge, judgeOriginal, listProblems } from '../../conformance/mutants/judge.js'
import { type Fault, Workshop } from '../../conformance/mutants/workshop.js'

const ROOT = new URL('../../', import.meta.url).pathname.replace(/\/$/, '')
const ALL = JSON.parse(readFileSync(`${ROOT}/conformance/mutants/faults.json`, 'utf8')) as Fault[]

/** Nothing that waits for a clock. */
const PLANTED = [
  'DUP is missing when a message is sent again',
  'Packet Identifier 0 is accepted',
  'the Will is lost on takeover and errors',
  'No Local is ignored',
  'wildcards match topics that begin with $',
]
const NO_FAULT: Fault = {
  name: 'nothing is wrong',
  file: 'protocol/mqtt/packet-reader.ts',
  from: 'if (packetId === 0) violation(',
  to: 'if (packetId <= 0) violation(',
  version: 'both',
  caughtBy: ['publish-04'],
}

t.test('every fault of the list stands once in the source and is named with cases that there are', (t) => {
  t.ok(ALL.length >= 40)
  t.same(listProblems(ROOT, ALL), [])
  const gone: Fault = { ...NO_FAULT, from: 'this text is not there', caughtBy: ['publish-00'] }
  t.equal(listProblems(ROOT, [gone]).length, 4, 'a list that does not fit is complained about')
  const byPlace: Fault = { ...NO_FAULT, to: 'if (arguments[0] === 0) violation(' }
  t.equal(listProblems(ROOT, [byPlace]).length, 1, 'an argument by its place may be another one by now')
  t.end()
})

t.test('faults are caught by the cases named for them, and what is no fault is not', async (t) => {
  const workshop = new Workshop(ROOT, t.testdir())
  const home = await workshop.build()
  const faults = PLANTED.map((name) => ALL.find((fault) => fault.name === name) as Fault)
  t.same(await judgeOriginal(workshop, home, faults), [], 'the broker as it is passes all of these cases')
  const found = await Promise.all([...faults, NO_FAULT].map((fault) => judge(workshop, home, fault)))
  t.match(found.pop(), { verdict: 'survived', seen: [] }, 'what is no fault')
  for (const each of found) t.match(each, { verdict: 'caught' }, each.name)
})
