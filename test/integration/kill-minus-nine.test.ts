/**
 * The broker killed with SIGKILL at random points under load, again and again, judged by the books of its clients: what
 * was acknowledged is there, QoS 2 once, QoS 1 at least once, in order, retained messages too. `TALLYMQ_KILLS` sets the
 * number of kills, `TALLYMQ_SEED` repeats the choices of one run (where in the broker's work a kill falls is not one).
 */
import t from 'tap'
import { checkRetained, World } from '../support/books-world.js'
import { Random } from '../support/random.js'

const KILLS = Number(process.env.TALLYMQ_KILLS ?? 50)
const SEED = Number(process.env.TALLYMQ_SEED ?? Date.now() % 1_000_000)
/** Packets that clients get before the broker is killed: from none to a good load. */
const PACKETS_MAX = 6_000

t.test(`killed ${KILLS} times under load, nothing acknowledged is lost and QoS 2 comes once`, async (t) => {
  const random = new Random(SEED)
  const world = new World(t, random)
  const { books } = world
  const startedAtMs = performance.now()
  await world.begin()
  let kills = 0
  for (; kills < KILLS && books.breach === null; kills += 1) {
    const url = kills === 0 ? null : await world.start()
    const packets = random.chance(0.2) ? random.below(40) : random.below(PACKETS_MAX)
    const killed = world.receives(packets).then(() => world.end('SIGKILL'))
    if (url !== null) await Promise.all([world.connectAll(url), checkRetained(books, url, false)])
    await killed
  }
  const context = `seed ${SEED}, kill ${kills}`
  t.equal(books.breach, null, `${books.breach?.message ?? 'no breach while running'} (${context})`)
  await world.drain(await world.start())
  world.check(t, context)
  t.ok(world.published > KILLS * 20, `there was load: ${world.published} messages`)
  t.comment(
    `seed ${SEED}: ${kills} kills, ${world.killsWhileStarting} more while starting, ${world.published} messages`,
  )
  t.comment(`${books.deliveries} deliveries, ${Math.round(performance.now() - startedAtMs)} ms`)
})
