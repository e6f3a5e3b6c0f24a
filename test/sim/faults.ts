/**
 * What goes wrong, and when: each kind of fault comes by its own chance, at its own pace, until the faults stop. What
 * a commit may suffer is drawn in `disk.ts`, what a clock does at a restart in `host.ts`; they are named here too.
 */
import type { Random } from '../support/random.js'
import type { SimClient } from './client.js'
import { Consumer } from './consumer.js'
import type { Host } from './host.js'
import { randomFor } from './plan.js'

export const FAULTS = [
  'crash',
  'crash-at-commit',
  'failed-commit',
  'stalled-commit',
  'stop',
  'pause',
  'clock-jump',
  'cut',
  'half-open',
  'slow-reader',
  'takeover',
  'takeover-storm',
  'checkpoint',
] as const
export type FaultKind = (typeof FAULTS)[number]

export interface FaultPlan {
  /** Kinds that this world has, and the mean time between two of them. */
  readonly everyMs: ReadonlyMap<FaultKind, number>
}

const STORM_TAKEOVERS = 6

export class Faults {
  readonly #host: Host
  readonly #clients: readonly SimClient[]
  readonly #plan: FaultPlan
  readonly #seed: number
  #isOver = false

  constructor(host: Host, clients: readonly SimClient[], plan: FaultPlan, seed: number) {
    this.#host = host
    this.#clients = clients
    this.#plan = plan
    this.#seed = seed
  }

  begin(): void {
    for (const [kind, meanMs] of this.#plan.everyMs) {
      const random = randomFor(this.#seed, kind)
      const strike = ACTIONS[kind]
      if (strike === undefined) continue
      const next = () => {
        this.#host.schedule.after(-Math.log(1 - random.next()) * meanMs, () => {
          if (this.#isOver) return
          this.#host.trace.say(this.#host.schedule.nowMs, 'fault', kind)
          strike(this.#host, this.#clients, random)
          next()
        })
      }
      next()
    }
  }

  end(): void {
    this.#isOver = true
  }
}

type Action = (host: Host, clients: readonly SimClient[], random: Random) => void

const ACTIONS: Partial<Record<FaultKind, Action>> = {
  crash: (host, _clients, random) => {
    host.crash('the power fails')
    // At times again, in the middle of coming up.
    if (random.chance(0.3)) host.schedule.after(40 + random.below(60), () => host.crash('the power fails again'))
  },
  stop: (host) => host.stop(false),
  pause: (host, _clients, random) => {
    const process = host.process
    if (process === null) return
    process.pause()
    host.schedule.after(1 + random.below(random.chance(0.2) ? 90_000 : 5_000), () => process.resume())
  },
  checkpoint: (host) => host.process?.enter(() => host.process?.core.checkpoint()),
  cut: (_host, clients, random) => {
    for (const client of clients) if (random.chance(0.4)) client.cut()
  },
  'half-open': (_host, clients, random) => {
    for (const client of clients) {
      if (random.chance(0.25)) client.goSilent(random.pick(['up', 'down', 'both'] as const))
    }
  },
  'slow-reader': (_host, clients, random) => {
    for (const client of clients) {
      if (client instanceof Consumer && random.chance(0.3)) client.stall(random.pick([500, 10_000, 60_000]))
    }
  },
  takeover: (_host, clients, random) => {
    for (const client of clients) if (random.chance(0.3)) client.takeOver()
  },
  'takeover-storm': (host, clients, random) => {
    const client = random.pick(clients)
    for (let turn = 0; turn < STORM_TAKEOVERS; turn += 1) {
      host.schedule.after(random.below(60) * turn, () => client.takeOver())
    }
  },
}
