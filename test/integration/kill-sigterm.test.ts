/**
 * SIGTERM under load: what was accepted is finished, everybody is told, the process ends with 0, and the next one has
 * all of it. Now and then somebody loses patience and sends SIGKILL while the broker is saying goodbye.
 */
import t from 'tap'
import { ReasonCode } from '../../src/protocol/reason-codes.js'
import { World } from '../support/books-world.js'
import { Random } from '../support/random.js'

const STOPS = 8
const SEED = Number(process.env.TALLYMQ_SEED ?? Date.now() % 1_000_000)

t.test('stopped under load it ends with 0, tells everybody, and has everything afterwards', async (t) => {
  const random = new Random(SEED)
  const world = new World(t, random, t.testdir())
  const { books } = world
  await world.begin()
  for (let stop = 0; stop < STOPS && books.breach === null; stop += 1) {
    if (stop > 0) await world.connectAll(await world.start())
    await world.receives(200 + random.below(3_000))
    const { result, ends } = await world.end('SIGTERM')
    t.equal(result.exitCode, 0)
    t.equal(result.errors, '', 'nothing to complain about')
    t.ok(ends.length >= 9, `${ends.length} clients were connected`)
    for (const { closeCode, disconnect } of ends) {
      t.equal(closeCode, 3001)
      t.equal(disconnect?.reasonCode, ReasonCode.SERVER_SHUTTING_DOWN)
    }
  }
  await world.drain(await world.start())
  t.equal(books.breach, null, `${books.breach?.message ?? 'no breach while running'} (seed ${SEED})`)
  world.check(t, `seed ${SEED}`)
  t.comment(`seed ${SEED}: ${world.published} messages, ${books.deliveries} deliveries`)
})

t.test('killed while it says goodbye, it has everything all the same', async (t) => {
  const random = new Random(SEED)
  const world = new World(t, random, t.testdir())
  const { books } = world
  await world.begin()
  for (let stop = 0; stop < 4 && books.breach === null; stop += 1) {
    if (stop > 0) await world.connectAll(await world.start())
    await world.receives(200 + random.below(2_000))
    const afterwards = random.below(30)
    world.broker?.signal('SIGTERM')
    if (afterwards > 0) await world.receives(afterwards)
    await world.end('SIGKILL')
  }
  await world.drain(await world.start())
  t.equal(books.breach, null, `${books.breach?.message ?? 'no breach while running'} (seed ${SEED})`)
  world.check(t, `seed ${SEED}`)
})
