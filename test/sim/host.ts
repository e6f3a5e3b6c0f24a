/**
 * The machine that the broker runs on: one process after another, each the real core behind the real shell, on the disk
 * that the one before left behind. It starts, pauses, ends and kills them, and gives them their clock.
 */
import type { TimerHandle, Timers } from '../../src/base/clock.js'
import { Broker } from '../../src/core/broker.js'
import { type BrokerLimits, DEFAULT_LIMITS, type WorkPace } from '../../src/core/limits.js'
import type { Access, AuthenticationStep } from '../../src/core/ports/access.js'
import { type StoreError as StoreErrorType, StoreError } from '../../src/core/ports/store.js'
import { Shell } from '../../src/server/shell.js'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import type { Random } from '../support/random.js'
import { type DiskOwner, type DiskPlan, SimStore } from './disk.js'
import type { SimLink } from './link.js'
import type { Schedule } from './schedule.js'
import type { Trace } from './trace.js'

export interface HostPlan {
  readonly limits: Partial<BrokerLimits>
  readonly pace: Partial<WorkPace>
  readonly disk: DiskPlan
  readonly startWallMs: number
  /** 0: authentication answers at once. */
  readonly authenticationMsMax: number
  /** Clocks of two processes differ by up to this much, either way. */
  readonly clockJumpMsMax: number
  readonly restartMsMax: number
}

export interface HostWatcher {
  /** A process is gone; this is what the disk holds. @param isQuiet it had stopped by itself, in good order. */
  image(store: MemoryStore, isQuiet: boolean): void
  /** Something that no fault explains. */
  brokerFailed(error: Error): void
}

/** Never settles: the host answers by `Broker.authenticated` itself, at the time it chose. */
const PENDING = new Promise<never>(() => undefined)

/** How long a failed broker lingers to say goodbye, as in `main.ts`. */
const FAREWELL_MS = 2_000

class ProcessTimer implements TimerHandle {
  readonly #process: BrokerProcess
  #run: (() => void) | null

  constructor(process: BrokerProcess, run: () => void) {
    this.#process = process
    this.#run = run
  }

  cancel(): void {
    this.#run = null
  }

  readonly fire = (): void => this.#process.enter(this.#due)
  /** It may be called off while the process is stopped. */
  readonly #due = (): void => this.#run?.()
}

export class BrokerProcess implements DiskOwner, Timers {
  readonly number: number
  readonly store: SimStore
  readonly core: Broker
  readonly shell: Shell
  readonly links = new Set<SimLink>()
  readonly #host: Host
  readonly #wallOffsetMs: number
  #isAlive = true
  /** What happens while the process is stopped; null: it runs. */
  #backlog: (() => void)[] | null = null
  failure: Error | null = null
  #authenticatedMs = 0

  constructor(host: Host, number: number, memory: MemoryStore, wallOffsetMs: number) {
    this.#host = host
    this.number = number
    this.#wallOffsetMs = wallOffsetMs
    const { schedule, trace, random, plan } = host
    this.store = new SimStore(memory, this, { schedule, random: host.diskRandom, plan: host.diskPlan, trace })
    const limits: BrokerLimits = { ...DEFAULT_LIMITS, ...plan.limits }
    let ids = 0
    this.core = new Broker({
      limits,
      access: host.access,
      store: this.store,
      events: { emit: () => undefined },
      durability: 'flush',
      incarnation: 'simulated',
      ids: { randomId: () => `${number}-${++ids}-${random.below(1_000_000)}` },
      presence: plan.startWallMs % 2 === 0,
      pace: plan.pace,
      authenticating: (connection) => {
        const step: AuthenticationStep = { accepted: true, username: null }
        // First come, first served: a client that asks twice cannot be told afterwards which of the two was accepted.
        this.#authenticatedMs = Math.max(this.#authenticatedMs, this.nowMs() + random.below(plan.authenticationMsMax))
        this.schedule(this.#authenticatedMs - this.nowMs(), () => {
          this.core.authenticated(connection, step, this.nowMs())
          this.shell.turn.schedule()
        })
      },
    })
    this.core.recover(this.nowMs())
    this.store.durableRecord = this.core.state.recordNumber - 1
    this.shell = new Shell({
      core: this.core,
      store: this.store,
      durability: 'flush',
      timers: this,
      defer: (run) => schedule.defer(() => this.enter(run)),
      limits,
      heartbeat: {
        pingIntervalMs: 45_000,
        pongTimeoutMs: 15_000,
        connectTimeoutMs: 5_000,
        writeTimeoutMs: 30_000,
        closeTimeoutMs: FAREWELL_MS,
      },
      onFatal: (error) => this.#failed(error),
    })
    this.shell.start()
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  nowMs(): number {
    return Math.floor(this.#host.schedule.nowMs + this.#wallOffsetMs)
  }

  schedule(delayMs: number, run: () => void): TimerHandle {
    const timer = new ProcessTimer(this, run)
    this.#host.schedule.after(Math.max(1, delayMs), timer.fire)
    return timer
  }

  enter(run: () => void): void {
    if (!this.#isAlive) return
    if (this.#backlog !== null) this.#backlog.push(run)
    else run()
  }

  pause(): void {
    this.#backlog ??= []
  }

  resume(): void {
    const backlog = this.#backlog
    this.#backlog = null
    for (const run of backlog ?? []) this.enter(run)
  }

  storeFailed(error: StoreErrorType): void {
    this.shell.fail(error)
  }

  powerFails(): void {
    if (this.#isAlive) this.#host.crash('the power fails around a commit')
  }

  #failed(error: Error): void {
    this.failure = error
    if (!(error instanceof StoreError)) this.#host.watcher.brokerFailed(error)
    this.#host.say(`the broker stops: ${error.message}`)
    // In the real one main.ts waits for the farewells, and then the process ends.
    this.#host.schedule.after(this.#host.random.below(FAREWELL_MS), () => {
      if (this.#isAlive) this.#host.crash('the failed process ends')
    })
  }

  die(): MemoryStore {
    this.#isAlive = false
    this.#backlog = null
    this.shell.stop()
    return this.store.crash()
  }
}

export class Host {
  readonly schedule: Schedule
  readonly trace: Trace
  readonly random: Random
  readonly diskRandom: Random
  readonly plan: HostPlan
  readonly watcher: HostWatcher
  readonly access: Access
  process: BrokerProcess | null = null
  #memory = new MemoryStore({ settle: 'manual' })
  #wallOffsetMs: number
  #nextProcess = 1
  #isRestartDue = false
  /** Nothing goes wrong any more. */
  #isCalm = false
  /** By process number: the highest record that is on the disk for good. */
  readonly durableRecords = new Map<number, number>()
  crashes = 0
  restarts = 0
  commits = 0
  failedCommits = 0

  constructor(parts: {
    schedule: Schedule
    trace: Trace
    random: Random
    diskRandom: Random
    plan: HostPlan
    watcher: HostWatcher
  }) {
    this.schedule = parts.schedule
    this.trace = parts.trace
    this.random = parts.random
    this.diskRandom = parts.diskRandom
    this.plan = parts.plan
    this.watcher = parts.watcher
    this.#wallOffsetMs = parts.plan.startWallMs
    const isImmediate = parts.plan.authenticationMsMax === 0
    this.access = {
      allowsEverything: true,
      authenticate: () => (isImmediate ? { accepted: true, username: null } : PENDING),
      authorize: () => true,
    }
  }

  /** What the disk holds, between two processes. */
  get image(): MemoryStore {
    return this.#memory
  }

  get diskPlan(): DiskPlan {
    return this.#isCalm ? { ...this.plan.disk, fails: 0, stalls: 0, crashes: 0 } : this.plan.disk
  }

  /** From here on the machine is a good one. */
  calm(): void {
    this.#isCalm = true
    const { process } = this
    if (process === null) return
    process.store.plan = this.diskPlan
    process.resume()
  }

  say(what: string): void {
    this.trace.say(this.schedule.nowMs, 'broker', what)
  }

  start(): void {
    const { clockJumpMsMax } = this.plan
    if (this.#nextProcess > 1 && clockJumpMsMax > 0 && !this.#isCalm) {
      const jumpMs = (this.random.chance(0.5) ? 5_000 : clockJumpMsMax) * (this.random.next() * 2 - 1)
      this.#wallOffsetMs += Math.trunc(jumpMs)
    }
    this.trace.number(this.#nextProcess)
    if (this.trace.lines !== null) this.say(`starts, process ${this.#nextProcess}`)
    this.process = new BrokerProcess(this, this.#nextProcess, this.#memory, this.#wallOffsetMs)
    this.#nextProcess += 1
  }

  #restartSoon(): void {
    if (this.#isRestartDue) return
    this.#isRestartDue = true
    const delayMs = this.#isCalm || this.random.chance(0.5) ? 50 : 1 + this.random.below(this.plan.restartMsMax)
    this.schedule.after(delayMs, () => {
      this.#isRestartDue = false
      this.restarts += 1
      this.start()
    })
  }

  /** Power failure, kill -9 or the end of a process that has failed: the sockets are gone, the disk stays. */
  crash(why: string): void {
    const process = this.process
    if (process === null) return
    this.crashes += 1
    if (this.trace.lines !== null) this.say(`is gone: ${why}`)
    this.#end(process, false)
    this.#restartSoon()
  }

  #end(process: BrokerProcess, isQuiet: boolean): void {
    this.process = null
    this.#memory = process.die()
    this.commits += process.store.commits
    this.failedCommits += process.store.failedCommits
    this.durableRecords.set(process.number, process.store.durableRecord)
    const isHeard = this.random.chance(0.8)
    for (const link of process.links) link.processGone(isHeard)
    this.watcher.image(this.#memory, isQuiet)
  }

  /** In good order, as `server/shutdown.ts` does it. @param isForGood nothing starts afterwards. */
  stop(isForGood: boolean): void {
    const process = this.process
    if (process?.shell.state !== 'running') return
    if (this.trace.lines !== null) this.say('is told to stop')
    const { shell, core } = process
    shell.beginDraining()
    let isTold = false
    let leftMs = FAREWELL_MS
    const look = () => {
      if (!process.isAlive || shell.turn.hasFailed) return
      const isIdle = core.openRecordBytes === 0 && !process.store.isBusy
      if (isIdle && !isTold) {
        isTold = true
        core.drain(process.nowMs())
        shell.turn.schedule()
      } else if (isIdle && (shell.connectionCount === 0 || leftMs <= 0)) {
        this.#end(process, true)
        if (!isForGood) this.#restartSoon()
        return
      }
      if (isTold) leftMs -= 10
      this.schedule.after(10, () => process.enter(look))
    }
    process.enter(look)
  }
}
