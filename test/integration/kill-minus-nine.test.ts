/**
 * The broker killed with SIGKILL at random points under load, again and again, judged by the books of its clients: what
 * was acknowledged is there, QoS 2 once, QoS 1 at least once, in order, retained messages too. `TALLYMQ_KILLS` sets the
 * number of kills, `TALLYMQ_SEED` repeats the choices of one run (where in the broker's work a kill falls is not one).
 */
import t, { type Test } from 'tap'
import { checkRetained, World } from '../support/books-world.js'
import { FaultyDisk, faultyDiskNeeds } from '../support/faulty-disk.js'
import { Random } from '../support/random.js'

const KILLS = Number(process.env.TALLYMQ_KILLS ?? 50)
const KILLS_ON_SLOW_DISK = 8
const SEED = Number(process.env.TALLYMQ_SEED ?? Date.now() % 1_000_000)
/** Packets that clients get before the broker is killed: from none to a good load. */
const PACKETS_MAX = 2_000

interface Plan {
  readonly kills: number
  readonly packetsMax: number
  /** For the broker's process. */
  readonly environment?: Record<string, string>
}

async function runThenKill(world: World, packets: number): Promise<void> {
  await world.receives(packets)
  await world.loseAnswers()
  await world.end('SIGKILL')
}

async function killUnderLoad(t: Test, parent: string, plan: Plan) {
  const { kills, packetsMax, environment } = plan
  const random = new Random(SEED)
  const world = new World(t, random, parent, environment)
  const { books } = world
  const startedAtMs = performance.now()
  await world.begin()
  let killed = 0
  for (; killed < kills && books.breach === null; killed += 1) {
    const url = killed === 0 ? null : await world.start()
    const packets = random.chance(0.2) ? random.below(40) : random.below(packetsMax)
    const isDead = runThenKill(world, packets)
    if (url !== null) await Promise.all([world.connectAll(url), checkRetained(books, url, false)])
    await isDead
  }
  const context = `seed ${SEED}, kill ${killed}`
  t.equal(books.breach, null, `${books.breach?.message ?? 'no breach while running'} (${context})`)
  await world.drain(await world.start())
  world.check(t, context)
  t.ok(world.published > kills * 20, `there was load: ${world.published} messages`)
  t.comment(`seed ${SEED}: ${killed} kills, ${world.killsWhileStarting} more while starting`)
  const tookMs = Math.round(performance.now() - startedAtMs)
  t.comment(`${world.published} messages, ${books.deliveries} deliveries, ${tookMs} ms`)
}

t.test(`killed ${KILLS} times under load, nothing acknowledged is lost and QoS 2 comes once`, async (t) => {
  await killUnderLoad(t, t.testdir(), { kills: KILLS, packetsMax: PACKETS_MAX })
})

// Nearly every kill falls into a commit: whatever was told before its end is found out.
t.test('the same on a slow disk', faultyDiskNeeds, async (t) => {
  const parent = t.testdir()
  const { environment } = new FaultyDisk(parent, 'delay')
  await killUnderLoad(t, parent, { kills: KILLS_ON_SLOW_DISK, packetsMax: 1_000, environment })
})
