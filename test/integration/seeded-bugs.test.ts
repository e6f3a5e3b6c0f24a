/**
 * Does the battery see what is wrong? Here: the list of bugs fits the source, and a few of them are caught by its
 * quickest part, which finds nothing in the broker as it is. `npm run seeded-bugs` plants all of them.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { Battery } from '../seeded-bugs/battery.js'
import { faultySource, type SeededBug } from '../seeded-bugs/plant.js'

const ROOT = new URL('../../', import.meta.url).pathname.replace(/\/$/, '')
const ALL = JSON.parse(readFileSync(`${ROOT}/test/seeded-bugs/bugs.json`, 'utf8')) as SeededBug[]
const EFFORT = { fuzzSeeds: 30, simulationSeeds: 1, imagePoints: 1 }
const PLANTED = [
  'PUBACK and PUBREC leave before the commit',
  'the packet id of a QoS 2 message is not stored',
  'the journal is trimmed a record too far',
  'how far a producer is is not in the record of its messages',
  'the ledger does not count a delivery',
]

t.test('every bug of the list stands once in the source and changes it', (t) => {
  t.ok(ALL.length >= 40, `${ALL.length} bugs`)
  t.equal(new Set(ALL.map(({ name }) => name)).size, ALL.length, 'each has a name of its own')
  for (const bug of ALL) t.not(faultySource(ROOT, bug), readFileSync(`${ROOT}/src/${bug.file}`, 'utf8'), bug.name)
  const [first] = ALL as [SeededBug]
  t.throws(() => faultySource(ROOT, { ...first, from: 'this text is not there' }), /stands 0 times/)
  t.end()
})

t.test('bugs are caught, and the broker as it is passes', async (t) => {
  const directory = t.testdir()
  t.equal(await new Battery(ROOT, `${directory}/healthy`, EFFORT).run('crash-fuzz', null), null, 'nothing is wrong')
  for (const name of PLANTED) {
    const bug = ALL.find((each) => each.name === name)
    t.ok(bug, `${name} is in the list`)
    if (bug === undefined) continue
    t.type(
      await new Battery(ROOT, `${directory}/${PLANTED.indexOf(name)}`, EFFORT).run('crash-fuzz', bug),
      'string',
      name,
    )
  }
})
