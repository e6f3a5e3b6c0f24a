/**
 * The torture: a broker process is killed again and again while clients in other processes publish and consume through
 * a bad network, and in between it is stopped, told to end, and starved of disk space. What happens when comes from a
 * seed; whether the broker kept its word is read from the clients' books and from its own ledger.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import type { TimerHandle } from '../base/clock.js'
import { Random } from '../base/random.js'
import { systemTimers } from '../client/clock.js'
import { type BrokerEnd, BrokerProcess, type BrokerRecipe, type Environment, pause } from './broker-process.js'
import { castFor, type Troupe } from './cast.js'
import { Judge, type Verdict } from './judge.js'
import { BadNetwork } from './bad-network.js'
import { mountSmallDisk } from './small-disk.js'
import { TroupeProcess } from './troupe-process.js'
import { copyDirectory, verifyDirectory } from './verify-directory.js'

export interface TortureOptions {
  readonly recipe: BrokerRecipe
  /** Under load. */
  readonly kills: number
  readonly minutes: number
  readonly seed: number
  /** false: leave that fault out. */
  readonly diskFull: boolean
  /** Gets `data`, `books` and the broker's log. */
  readonly directory: string
  readonly environment: Environment
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
const LIFE_MS_MAX = 700
const END_MS_MAX = 30_000
const DISK_FULL_MS_MAX = 10_000
const DISK_FULL_EVERY_KILLS = 50
const SPARE_KIB = 384
/** What `tallymq broker` exits with when its disk stopped it. */
const STOPPED_BY_DISK = 70
const SAY_MS = 2_000

export async function torture(options: TortureOptions): Promise<TortureResult> {
  const run = new Torture(options)
  try {
    return await run.run()
  } finally {
    await run.end()
  }
}

class Torture {
  readonly #options: TortureOptions
  readonly #random: Random
  readonly #cast: readonly Troupe[]
  readonly #troupes = new Map<string, TroupeProcess>()
  readonly #broker: BrokerProcess
  readonly #judge: Judge
  readonly #data: string
  readonly #books: string
  readonly #log: string
  readonly #startedMs = systemTimers.nowMs()
  #networks: { readonly http: BadNetwork; readonly mqtt: BadNetwork } | null = null
  /** Of the parent itself, beside the judge's. */
  readonly #problems: string[] = []
  #fault: Error | null = null
  #saidMs = 0
  #retainedCheck: Promise<void> | null = null
  /** At so many kills. Also a short run has one of each. */
  #nextDiskFull: number
  #firstTermination: number
  readonly #deeds: Deeds = {
    kills: 0,
    killsWithoutLoad: 0,
    killsWhileStarting: 0,
    stops: 0,
    restarts: 0,
    diskFull: 0,
    startsRefused: 0,
    diskFullBy: 'not tried',
    cuts: 0,
    halfOpened: 0,
    delays: 0,
    unacknowledgedAtKills: 0,
    ledgerVerified: 0,
    ledgerProblems: 0,
  }

  constructor(options: TortureOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.#firstTermination = Math.ceil(options.kills / 4)
    const firstDiskFull = Math.min(DISK_FULL_EVERY_KILLS, Math.ceil(options.kills / 2))
    this.#nextDiskFull = options.diskFull ? firstDiskFull : Number.POSITIVE_INFINITY
    this.#cast = castFor(options.recipe.isOurs)
    this.#data = `${options.directory}/data`
    this.#books = `${options.directory}/books`
    mkdirSync(this.#data)
    mkdirSync(this.#books)
    this.#log = `${options.directory}/broker.log`
    this.#broker = new BrokerProcess(options.recipe, this.#log, options.environment)
    this.#judge = new Judge(this.#cast, this.#books)
  }

  async run(): Promise<TortureResult> {
    await this.#begin()
    while (!this.#isOver()) {
      await this.#life()
      this.#judge.read()
      this.#say()
    }
    await this.#settle()
    return this.#result()
  }

  async end(): Promise<void> {
    await this.#broker.kill()
    await Promise.all([...this.#troupes.values()].map((troupe) => troupe.end()))
    await Promise.all([this.#networks?.http.close(), this.#networks?.mqtt.close()])
  }

  #isOver(): boolean {
    const { kills, minutes, interrupted } = this.#options
    if (this.#fault !== null) throw this.#fault
    const isLate = systemTimers.nowMs() - this.#startedMs > minutes * 60_000
    // A directory that does not balance is evidence, and the next broker would change it.
    return this.#deeds.kills >= kills || isLate || interrupted.aborted || this.#deeds.ledgerProblems > 0
  }

  async #begin(): Promise<void> {
    const { seed } = this.#options
    this.#networks = {
      http: await BadNetwork.start(new Random(seed + 1)),
      mqtt: await BadNetwork.start(new Random(seed + 2)),
    }
    const ports = { http: this.#networks.http.port, mqtt: this.#networks.mqtt.port }
    for (const { name } of this.#cast) {
      this.#troupes.set(name, new TroupeProcess(name, (fault) => (this.#fault = fault)))
    }
    if (!(await this.#start(this.#data))) throw new Error(`the broker does not start; see ${this.#log}`)
    await Promise.all(
      this.#cast.map((troupe, index) =>
        this.#troupes.get(troupe.name)?.ask({ do: 'begin', troupe, ports, books: this.#books, seed: seed + 3 + index }),
      ),
    )
    await this.#askAll({ do: 'speak' })
  }

  #askAll<T>(command: { readonly do: 'speak' | 'flow' | 'count' | 'finish' }): Promise<T[]> {
    return Promise.all([...this.#troupes.values()].map((troupe) => troupe.ask<T>(command)))
  }

  /** @returns false when the broker did not come up; that is a problem, but not where its disk is small. */
  async #start(dataDirectory: string, fileBytesMax?: number): Promise<boolean> {
    const random = this.#random
    for (;;) {
      await this.#broker.spawn(dataDirectory, fileBytesMax)
      if (this.#deeds.kills === 0 || !random.chance(0.08)) break
      await pause(20 + random.below(400))
      await this.#broker.kill()
      this.#deeds.killsWhileStarting += 1
    }
    const isReady = await this.#broker.ready()
    if (isReady) this.#aim(this.#broker.ports)
    return isReady
  }

  /** A broker that does not start any more gets an empty directory, as its owner would have to do. */
  async #startAgain(): Promise<void> {
    if (await this.#start(this.#data)) return
    this.#deeds.startsRefused += 1
    const aside = `${this.#data}-refused-${this.#deeds.startsRefused}`
    const how = JSON.stringify(await this.#broker.kill())
    this.#problems.push(`the broker did not start again (${how}), so it lost everything; its directory is now ${aside}`)
    renameSync(this.#data, aside)
    mkdirSync(this.#data)
    if (!(await this.#start(this.#data))) throw new Error(`the broker does not start; see ${this.#log}`)
  }

  #aim({ http, mqtt }: { readonly http: number; readonly mqtt: number }): void {
    if (this.#networks === null) return
    this.#networks.http.targetPort = http
    this.#networks.mqtt.targetPort = mqtt
  }

  /** One life of the broker: it comes up (the first time it has), works, suffers, and dies. */
  async #life(): Promise<void> {
    const random = this.#random
    if (this.#deeds.kills >= this.#nextDiskFull) await this.#fillDisk()
    if (!this.#broker.isRunning) await this.#startAgain()
    if (random.chance(0.3)) this.#lookAtRetained()
    // Now and then it dies before everybody has come back.
    if (random.chance(0.8)) await this.#flow()
    else await this.#work(random.below(150))
    await this.#suffer()
    if (random.chance(0.06) || this.#deeds.kills === this.#firstTermination) await this.#terminate()
    else await this.#kill()
  }

  /** Every publisher has got an acknowledgement. */
  async #flow(): Promise<void> {
    const flowing = Promise.race([this.#askAll({ do: 'flow' }), this.#broker.ended])
    if ((await within(FLOW_MS_MAX, flowing)) === null)
      this.#problems.push(`somebody got no acknowledgement for ${FLOW_MS_MAX / 1_000} s`)
  }

  async #work(ms: number): Promise<void> {
    await within(ms, this.#broker.ended)
  }

  async #suffer(): Promise<void> {
    const random = this.#random
    const rounds = 1 + random.below(3)
    for (let round = 0; round < rounds; round += 1) {
      for (const network of [this.#networks?.http, this.#networks?.mqtt]) {
        if (random.chance(0.3)) network?.cutSome(0.3)
        if (random.chance(0.15)) network?.halfOpenSome(0.2)
        if (random.chance(0.3)) network?.delaySome(0.3, 60)
      }
      await this.#work(random.below(LIFE_MS_MAX / rounds))
      if (random.chance(0.1)) {
        this.#broker.signal('SIGSTOP')
        await this.#work(random.chance(0.1) ? 3_500 : random.below(600))
        this.#broker.signal('SIGCONT')
        this.#deeds.stops += 1
        if (random.chance(0.5)) await this.#work(random.below(100))
      }
    }
  }

  async #kill(): Promise<void> {
    const isAlive = this.#broker.isRunning
    const end = await this.#broker.kill()
    if (!isAlive) this.#problems.push(`the broker ended by itself: ${JSON.stringify(end)}`)
    const unacknowledged = await this.#buried()
    if (unacknowledged === 0) this.#deeds.killsWithoutLoad += 1
    else this.#deeds.kills += 1
    this.#deeds.unacknowledgedAtKills += unacknowledged
  }

  async #terminate(): Promise<void> {
    this.#broker.signal('SIGTERM')
    const end = await this.#endWithin(END_MS_MAX)
    if (end === null) {
      this.#problems.push(`the broker did not end ${END_MS_MAX / 1_000} s after SIGTERM`)
      await this.#broker.kill()
    } else if (end.exitCode !== 0) this.#problems.push(`after SIGTERM the broker ended with ${JSON.stringify(end)}`)
    await this.#buried()
    this.#firstTermination = -1
    this.#deeds.restarts += 1
  }

  #endWithin(ms: number): Promise<BrokerEnd | null> {
    return within(ms, this.#broker.ended)
  }

  /** The process is dead: everybody learns it, and its directory is looked at. @returns publishes under way. */
  async #buried(): Promise<number> {
    this.#aim({ http: 0, mqtt: 0 })
    this.#networks?.http.dropAll()
    this.#networks?.mqtt.dropAll()
    const counts = await this.#askAll<number>({ do: 'count' })
    await this.#retainedCheck
    await this.#verify()
    return counts.reduce((sum, count) => sum + count, 0)
  }

  async #verify(): Promise<void> {
    const { recipe, directory, environment } = this.#options
    if (!recipe.isOurs) return
    const { kills, killsWithoutLoad, restarts } = this.#deeds
    const copy = `${directory}/verified-${kills}-${killsWithoutLoad}-${restarts}`
    const verification = await verifyDirectory(this.#data, copy, environment)
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
    const reader = this.#troupes.get('mqtt-consumers')
    if (promises.size === 0 || reader === undefined) return
    const asked = reader.ask<[string, number][] | null>({ do: 'retained', topics: [...promises.keys()] })
    this.#retainedCheck = asked.then((found) => {
      this.#retainedCheck = null
      if (found === null) return
      this.#judge.read()
      this.#judge.checkRetained(promises, new Map(found))
    })
  }

  /** The broker works on a disk with hardly any room until it notices; then it gets its own back. */
  async #fillDisk(): Promise<void> {
    this.#nextDiskFull += DISK_FULL_EVERY_KILLS
    if (this.#broker.isRunning) await this.#kill()
    const kib = Math.ceil(bytesIn(this.#data) / 1_024) + SPARE_KIB
    const disk = mountSmallDisk(kib)
    if (typeof disk === 'string') {
      this.#deeds.diskFullBy = `a limit on the size of files (${disk})`
      await this.#livesOn(this.#data, largestIn(this.#data) + SPARE_KIB * 1_024)
      return
    }
    this.#deeds.diskFullBy = 'a small tmpfs'
    try {
      const data = `${disk.directory}/data`
      copyDirectory(this.#data, data)
      await this.#livesOn(data)
      rmSync(this.#data, { recursive: true })
      copyDirectory(data, this.#data)
    } finally {
      disk.unmount()
    }
  }

  async #livesOn(data: string, fileBytesMax?: number): Promise<void> {
    const { recipe } = this.#options
    const isUp = await this.#start(data, fileBytesMax)
    const end = isUp ? await this.#endWithin(DISK_FULL_MS_MAX) : await this.#broker.ended
    if (end === null) await this.#broker.kill()
    else if (recipe.isOurs && end.exitCode !== STOPPED_BY_DISK) {
      this.#problems.push(`on a full disk the broker ended with ${JSON.stringify(end)}`)
    }
    // A broker that goes on with a full disk has been killed on it, which counts as well.
    this.#deeds.diskFull += 1
    this.#aim({ http: 0, mqtt: 0 })
    this.#networks?.http.dropAll()
    this.#networks?.mqtt.dropAll()
    await this.#askAll({ do: 'count' })
  }

  /** No more faults: everybody finishes, and gets what is owed. */
  async #settle(): Promise<void> {
    if (this.#deeds.ledgerProblems > 0) return
    this.#options.say('waiting for the last deliveries')
    if (!this.#broker.isRunning) await this.#startAgain()
    const finished = await within(FINISH_MS_MAX, this.#askAll({ do: 'finish' }))
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
    this.#broker.signal('SIGTERM')
    if ((await this.#endWithin(END_MS_MAX)) === null) this.#problems.push('the broker did not end after SIGTERM')
    await this.#verify()
    this.#judge.read()
  }

  #result(): TortureResult {
    const { http, mqtt } = this.#networks as { http: BadNetwork; mqtt: BadNetwork }
    const verdict = this.#judge.verdict()
    const breaches = verdict.breaches + this.#problems.length
    const { lost, duplicated, outOfOrder, sessionsLost } = verdict
    return {
      ok: lost + duplicated + outOfOrder + sessionsLost + breaches === 0,
      ...this.#deeds,
      ...verdict,
      breaches,
      cuts: http.cuts + mqtt.cuts,
      halfOpened: http.halfOpened + mqtt.halfOpened,
      delays: http.delays + mqtt.delays,
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

/** @returns null when it takes longer. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | null> {
  let timer: TimerHandle | undefined
  const late = new Promise<null>((resolve) => {
    timer = systemTimers.schedule(ms, () => resolve(null))
  })
  const result = await Promise.race([promise, late])
  timer?.cancel()
  return result
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
