/**
 * The torture: a broker process is killed again and again while clients in other processes publish and consume through
 * a bad network, and in between it is stopped, told to end, and starved of disk space. What happens when comes from a
 * seed; whether the broker kept its word is read from the clients' books and from its own ledger.
 */
import { readdirSync, rmSync, statSync } from 'node:fs'
import { Random } from '../base/random.js'
import { systemTimers } from '../client/clock.js'
import type { BadNetwork } from './bad-network.js'
import { pause } from './broker-process.js'
import { Judge, type Verdict } from './judge.js'
import { mountSmallDisk } from './small-disk.js'
import { Stage, type StageOptions, within } from './stage.js'
import { copyDirectory, verifyDirectory } from './verify-directory.js'

export interface TortureOptions extends StageOptions {
  /** Under load. */
  readonly kills: number
  readonly minutes: number
  /** false: leave that fault out. */
  readonly diskFull: boolean
  readonly interrupted: AbortSignal
  /** How far it is. */
  say(line: string): void
}

/** What was done to the broker, how often. */
export interface Deeds {
  /** SIGKILL with publishes under way. */
  kills: number
  /** SIGKILL when nothing was. */
  killsWithoutLoad: number
  killsWhileStarting: number
  /** SIGKILL for a process of clients that keep everything on disk. */
  clientKills: number
  /** SIGSTOP, some time, SIGCONT. */
  stops: number
  /** SIGTERM under load. */
  restarts: number
  /** The disk was full, and the broker found out. */
  diskFull: number
  /** The broker did not start again, and went on with an empty directory. */
  startsRefused: number
  /** How that was done, or why not. */
  diskFullBy: string
  cuts: number
  halfOpened: number
  delays: number
  /** Over all kills. */
  unacknowledgedAtKills: number
  ledgerVerified: number
  ledgerProblems: number
}

export interface TortureResult extends Deeds, Verdict {
  /** Nothing lost, duplicated, out of order, unbalanced or against the protocol. */
  readonly ok: boolean
  readonly seconds: number
}

/** Nobody gets an acknowledgement for so long: the broker does not work. */
const FLOW_MS_MAX = 60_000
const FINISH_MS_MAX = 120_000
/** Nothing new in the books for so long: what is still missing will not come. */
const QUIET_MS = 10_000
/** And so long for copies too many, when nothing is missing. */
const AFTERWARDS_MS = 700
const LOOK_MS = 250
const LIFE_MS_MAX = 400
const END_MS_MAX = 30_000
const DISK_FULL_MS_MAX = 20_000
const DISK_FULL_EVERY_KILLS = 50
const DISK_FULL_AGAIN_KILLS = 5
const SPARE_KIB = 96
/** What `tallymq broker` exits with when its disk stopped it. */
const STOPPED_BY_DISK = 70
const SAY_MS = 2_000

export async function torture(options: TortureOptions): Promise<TortureResult> {
  const stage = await Stage.build(options)
  try {
    return await new Torture(options, stage).run()
  } finally {
    await stage.close()
  }
}

class Torture {
  readonly #options: TortureOptions
  readonly #stage: Stage
  readonly #judge: Judge
  readonly #random: Random
  readonly #startedMs = systemTimers.nowMs()
  /** Of the broker as a process; the judge has those of the books. */
  readonly #problems: string[] = []
  #saidMs = 0
  #retainedCheck: Promise<void> | null = null
  /** At so many kills. Also a short run has one of each. */
  #nextDiskFull: number
  #firstTermination: number
  readonly #deeds = {
    kills: 0,
    killsWithoutLoad: 0,
    killsWhileStarting: 0,
    clientKills: 0,
    stops: 0,
    restarts: 0,
    diskFull: 0,
    diskFullBy: 'not tried',
    unacknowledgedAtKills: 0,
    ledgerVerified: 0,
    ledgerProblems: 0,
  }

  constructor(options: TortureOptions, stage: Stage) {
    this.#options = options
    this.#stage = stage
    this.#random = new Random(options.seed)
    this.#judge = new Judge(stage.cast, stage.books)
    this.#firstTermination = Math.ceil(options.kills / 4)
    const firstDiskFull = Math.min(DISK_FULL_EVERY_KILLS, Math.ceil(options.kills / 2))
    this.#nextDiskFull = options.diskFull ? firstDiskFull : Number.POSITIVE_INFINITY
  }

  async run(): Promise<TortureResult> {
    await this.#stage.open()
    while (!this.#isOver()) {
      await this.#life()
      this.#judge.read()
      this.#say()
    }
    await this.#settle()
    return this.#result()
  }

  #isOver(): boolean {
    const { kills, minutes, interrupted } = this.#options
    if (this.#stage.fault !== null) throw this.#stage.fault
    const isLate = systemTimers.nowMs() - this.#startedMs > minutes * 60_000
    // A directory that does not balance is evidence enough, and is kept.
    return this.#deeds.kills >= kills || isLate || interrupted.aborted || this.#deeds.ledgerProblems > 0
  }

  /** One life of the broker: it comes up (the first time it has), works, suffers, and dies. */
  async #life(): Promise<void> {
    const random = this.#random
    if (this.#deeds.kills >= this.#nextDiskFull) await this.#fillDisk()
    const { broker } = this.#stage
    if (!broker.isRunning) await this.#startAgain()
    if ((await within(FLOW_MS_MAX, Promise.race([this.#stage.reviveTroupes(), broker.ended]))) === null) {
      this.#problems.push(`clients that were killed did not come back in ${FLOW_MS_MAX / 1_000} s`)
    }
    if (random.chance(0.3)) this.#lookAtRetained()
    // Now and then it dies before everybody has come back.
    if (random.chance(0.8)) await this.#flow()
    else await this.#work(random.below(150))
    await this.#suffer()
    if (random.chance(0.06) || this.#deeds.kills === this.#firstTermination) await this.#terminate()
    else await this.#kill()
  }

  /** Now and then it is killed once more before it takes connections. */
  async #startAgain(): Promise<void> {
    const { broker, data } = this.#stage
    while (this.#random.chance(0.08)) {
      await broker.spawn(data)
      await pause(20 + this.#random.below(400))
      await broker.kill()
      this.#deeds.killsWhileStarting += 1
    }
    const problem = await this.#stage.startAgain()
    if (problem !== null) this.#problems.push(problem)
  }

  /** Every publisher has got an acknowledgement. */
  async #flow(): Promise<void> {
    const flowing = Promise.race([this.#stage.askAll({ do: 'flow' }), this.#stage.broker.ended])
    if ((await within(FLOW_MS_MAX, flowing)) !== null) return
    this.#problems.push(`somebody got no acknowledgement for ${FLOW_MS_MAX / 1_000} s`)
  }

  async #work(ms: number): Promise<void> {
    await this.#stage.endWithin(ms)
  }

  async #suffer(): Promise<void> {
    const random = this.#random
    const { networks, broker } = this.#stage
    const rounds = 1 + random.below(3)
    for (let round = 0; round < rounds; round += 1) {
      for (const network of networks) {
        if (random.chance(0.3)) network.cutSome(0.3)
        if (random.chance(0.15)) network.halfOpenSome(0.2)
        if (random.chance(0.3)) network.delaySome(0.3, 60)
      }
      await this.#work(random.below(LIFE_MS_MAX / rounds))
      const { mortals } = this.#stage
      if (mortals.length > 0 && random.chance(0.15)) await this.#killClients(random.pick(mortals))
      if (random.chance(0.1)) {
        broker.signal('SIGSTOP')
        await this.#work(random.chance(0.1) ? 3_500 : random.below(600))
        broker.signal('SIGCONT')
        this.#deeds.stops += 1
        if (random.chance(0.5)) await this.#work(random.below(100))
      }
    }
  }

  async #kill(): Promise<void> {
    const { broker } = this.#stage
    const isAlive = broker.isRunning
    const end = await broker.kill()
    if (!isAlive) this.#problems.push(`the broker ended by itself: ${JSON.stringify(end)}`)
    const unacknowledged = await this.#bury()
    if (unacknowledged === 0) this.#deeds.killsWithoutLoad += 1
    else this.#deeds.kills += 1
    this.#deeds.unacknowledgedAtKills += unacknowledged
  }

  async #killClients(troupe: string): Promise<void> {
    await this.#stage.killTroupe(troupe)
    this.#deeds.clientKills += 1
  }

  async #terminate(): Promise<void> {
    this.#firstTermination = -1
    await this.#endInOrder()
    await this.#bury()
    this.#deeds.restarts += 1
  }

  async #endInOrder(): Promise<void> {
    const { broker } = this.#stage
    broker.signal('SIGTERM')
    const end = await this.#stage.endWithin(END_MS_MAX)
    if (end === null) {
      this.#problems.push(`the broker did not end ${END_MS_MAX / 1_000} s after SIGTERM`)
      await broker.kill()
    } else if (end.exitCode !== 0) this.#problems.push(`after SIGTERM the broker ended with ${JSON.stringify(end)}`)
  }

  /** Its directory is looked at before the next broker sees it. @returns publishes that were under way. */
  async #bury(): Promise<number> {
    const underWay = await this.#stage.bury()
    await this.#retainedCheck
    await this.#verify()
    return underWay
  }

  async #verify(): Promise<void> {
    const { recipe, directory, environment } = this.#options
    if (!recipe.isOurs) return
    const { kills, killsWithoutLoad, restarts } = this.#deeds
    const copy = `${directory}/verified-${kills}-${killsWithoutLoad}-${restarts}`
    const verification = await verifyDirectory(this.#stage.data, copy, environment)
    if (verification === null) return
    if (verification.isBalanced) this.#deeds.ledgerVerified += 1
    else {
      this.#deeds.ledgerProblems += 1
      this.#problems.push(`the ledger of ${copy} does not balance: ${verification.sentence}`)
    }
  }

  /** In the background; the books have been read up to the death before. */
  #lookAtRetained(): void {
    const promises = this.#judge.retainedPromises()
    if (promises.size === 0) return
    const command = { do: 'retained', topics: [...promises.keys()] } as const
    const asked = this.#stage.ask<[string, number][] | null>('mqtt-consumers', command)
    this.#retainedCheck = asked.then((found) => {
      this.#retainedCheck = null
      if (found === null) return
      this.#judge.read()
      this.#judge.checkRetained(promises, new Map(found))
    })
  }

  /** The broker works on a disk with hardly any room until it notices; then it gets its own back. */
  async #fillDisk(): Promise<void> {
    const { broker, data } = this.#stage
    this.#nextDiskFull += DISK_FULL_EVERY_KILLS
    if (broker.isRunning) await this.#kill()
    // What is owed to somebody who is away fills a disk soonest.
    for (const name of this.#stage.mortals) if (name.endsWith('consumers')) await this.#killClients(name)
    const disk = mountSmallDisk(Math.ceil(bytesIn(data) / 1_024) + SPARE_KIB)
    if (typeof disk === 'string') {
      this.#deeds.diskFullBy = `a limit on the size of files (${disk})`
      await this.#liveOn(data, largestIn(data) + SPARE_KIB * 1_024)
      return
    }
    this.#deeds.diskFullBy = 'a small tmpfs'
    try {
      const small = `${disk.directory}/data`
      copyDirectory(data, small)
      await this.#liveOn(small)
      rmSync(data, { recursive: true })
      copyDirectory(small, data)
    } finally {
      disk.unmount()
    }
  }

  async #liveOn(data: string, fileBytesMax?: number): Promise<void> {
    const { broker } = this.#stage
    const isUp = await this.#stage.start(data, fileBytesMax)
    const end = isUp ? await this.#stage.endWithin(DISK_FULL_MS_MAX) : await broker.ended
    if (end === null) await broker.kill()
    if (end === null && this.#options.recipe.isOurs) {
      // There was room enough, in pages that had become free.
      this.#nextDiskFull = this.#deeds.kills + DISK_FULL_AGAIN_KILLS
      return void (await this.#stage.bury())
    }
    if (end !== null && this.#options.recipe.isOurs && end.exitCode !== STOPPED_BY_DISK) {
      this.#problems.push(`on a full disk the broker ended with ${JSON.stringify(end)}`)
    }
    // A broker that goes on with a full disk has been killed on it, which counts as well.
    this.#deeds.diskFull += 1
    await this.#stage.bury()
  }

  /** No more faults: everybody finishes, and gets what is owed. */
  async #settle(): Promise<void> {
    this.#options.say('waiting for the last deliveries')
    if (!this.#stage.broker.isRunning) await this.#startAgain()
    await within(FLOW_MS_MAX, this.#stage.reviveTroupes())
    const finished = await within(FINISH_MS_MAX, this.#stage.askAll({ do: 'finish' }))
    if (finished === null) this.#problems.push('publishes were not finished two minutes after the last fault')
    let quietMs = 0
    let isComplete = false
    while (quietMs < (isComplete ? AFTERWARDS_MS : QUIET_MS)) {
      await pause(LOOK_MS)
      quietMs = this.#judge.read() > 0 ? 0 : quietMs + LOOK_MS
      isComplete = this.#judge.isComplete()
    }
    this.#lookAtRetained()
    await this.#retainedCheck
    await this.#endInOrder()
    await this.#verify()
    this.#judge.read()
  }

  #result(): TortureResult {
    const sum = (of: (network: BadNetwork) => number) => this.#stage.networks.reduce((total, one) => total + of(one), 0)
    const verdict = this.#judge.verdict()
    const breaches = verdict.breaches + this.#problems.length
    const { lost, duplicated, outOfOrder, sessionsLost } = verdict
    return {
      ok: lost + duplicated + outOfOrder + sessionsLost + breaches === 0,
      ...this.#deeds,
      ...verdict,
      breaches,
      cuts: sum(({ cuts }) => cuts),
      halfOpened: sum(({ halfOpened }) => halfOpened),
      delays: sum(({ delays }) => delays),
      startsRefused: this.#stage.startsRefused,
      sentences: [...this.#problems, ...verdict.sentences],
      seconds: Math.round((systemTimers.nowMs() - this.#startedMs) / 100) / 10,
    }
  }

  #say(): void {
    const nowMs = systemTimers.nowMs()
    if (nowMs - this.#saidMs < SAY_MS) return
    this.#saidMs = nowMs
    const { kills, unacknowledgedAtKills } = this.#deeds
    const problems = this.#problems.length
    const tail = problems === 0 ? '' : `, ${problems} problems`
    const load = `${unacknowledgedAtKills} publishes were under way at them`
    this.#options.say(`${kills} of ${this.#options.kills} kills, ${load}, ${this.#judge.delivered} delivered${tail}`)
  }
}

function bytesIn(directory: string): number {
  return sizes(directory).reduce((sum, size) => sum + size, 0)
}

function largestIn(directory: string): number {
  return Math.max(0, ...sizes(directory))
}

function sizes(directory: string): number[] {
  return readdirSync(directory).map((name) => statSync(`${directory}/${name}`).size)
}
