/**
 * What the torture plays on: the broker's process and directory, the network in front of it, and the processes of the
 * clients. It starts, kills and buries; when and why is not decided here.
 */
import { mkdirSync, renameSync } from 'node:fs'
import type { TimerHandle } from '../base/clock.js'
import { Random } from '../base/random.js'
import { systemTimers } from '../client/clock.js'
import { BadNetwork } from './bad-network.js'
import { type BrokerEnd, BrokerProcess, type BrokerRecipe, type Environment } from './broker-process.js'
import { castFor, type Troupe } from './cast.js'
import { TroupeProcess } from './troupe-process.js'

export interface StageOptions {
  readonly recipe: BrokerRecipe
  /** Gets `data`, `books` and the broker's log. */
  readonly directory: string
  readonly seed: number
  readonly environment: Environment
}

export class Stage {
  readonly cast: readonly Troupe[]
  readonly data: string
  readonly books: string
  readonly broker: BrokerProcess
  /** For each of the broker's ports one. */
  readonly networks: readonly [http: BadNetwork, mqtt: BadNetwork]
  /** A process of the torture has ended by itself. */
  fault: Error | null = null
  /** Times that the broker did not start again, and got an empty directory. */
  startsRefused = 0
  readonly #options: StageOptions
  readonly #log: string
  #begun = 0
  readonly #troupes = new Map<string, TroupeProcess>()

  private constructor(options: StageOptions, networks: readonly [BadNetwork, BadNetwork]) {
    const { recipe, directory, environment } = options
    this.#options = options
    this.networks = networks
    this.cast = castFor(recipe.isOurs)
    this.data = `${directory}/data`
    this.books = `${directory}/books`
    mkdirSync(this.data)
    mkdirSync(this.books)
    this.#log = `${directory}/broker.log`
    this.broker = new BrokerProcess(recipe, this.#log, environment)
    for (const troupe of this.cast) this.#hire(troupe)
  }

  #hire({ name }: Troupe): void {
    this.#troupes.set(name, new TroupeProcess(name, (fault) => (this.fault = fault)))
  }

  static async build(options: StageOptions): Promise<Stage> {
    const { seed } = options
    return new Stage(options, [
      await BadNetwork.start(new Random(seed + 1)),
      await BadNetwork.start(new Random(seed + 2)),
    ])
  }

  /** The broker runs, consumers are subscribed, and publishers begin. */
  async open(): Promise<void> {
    if (!(await this.start(this.data))) throw new Error(`the broker does not start; see ${this.#log}`)
    await Promise.all(this.cast.map((troupe) => this.#begin(troupe)))
    await this.askAll({ do: 'speak' })
  }

  async #begin(troupe: Troupe): Promise<void> {
    const [http, mqtt] = this.networks
    const ports = { http: http.port, mqtt: mqtt.port }
    this.#begun += 1
    const seed = this.#options.seed + 2 + this.#begun
    await this.ask(troupe.name, { do: 'begin', troupe, ports, books: this.books, seed })
  }

  /** Names of clients whose books are all they need, and who are there. */
  get mortals(): readonly string[] {
    return this.cast.filter(({ name, isMortal }) => isMortal && this.#troupes.has(name)).map(({ name }) => name)
  }

  /** SIGKILL. They are back with `reviveTroupes`. */
  async killTroupe(name: string): Promise<void> {
    const process = this.#troupes.get(name)
    this.#troupes.delete(name)
    await process?.end()
  }

  /** Everybody who was killed is there again. Only with a broker. */
  async reviveTroupes(): Promise<void> {
    for (const troupe of this.cast) {
      if (this.#troupes.has(troupe.name)) continue
      this.#hire(troupe)
      await this.#begin(troupe)
      await this.ask(troupe.name, { do: 'speak' })
    }
  }

  async close(): Promise<void> {
    await this.broker.kill()
    await Promise.all([...this.#troupes.values()].map((troupe) => troupe.end()))
    await Promise.all(this.networks.map((network) => network.close()))
  }

  ask<T>(troupe: string, command: Parameters<TroupeProcess['ask']>[0]): Promise<T> {
    return (this.#troupes.get(troupe) as TroupeProcess).ask<T>(command)
  }

  askAll<T>(command: { readonly do: 'speak' | 'flow' | 'count' | 'finish' }): Promise<T[]> {
    return Promise.all([...this.#troupes.keys()].map((name) => this.ask<T>(name, command)))
  }

  /** @returns false when the broker ended before it took connections. */
  async start(dataDirectory: string, fileBytesMax?: number): Promise<boolean> {
    await this.broker.spawn(dataDirectory, fileBytesMax)
    const isReady = await this.broker.ready()
    const { http, mqtt } = this.broker.ports
    this.networks[0].targetPort = isReady ? http : 0
    this.networks[1].targetPort = isReady ? mqtt : 0
    return isReady
  }

  /** A broker that does not start any more gets an empty directory, as from its owner. @returns what is wrong. */
  async startAgain(): Promise<string | null> {
    if (await this.start(this.data)) return null
    this.startsRefused += 1
    const aside = `${this.data}-refused-${this.startsRefused}`
    const how = JSON.stringify(await this.broker.kill())
    renameSync(this.data, aside)
    mkdirSync(this.data)
    if (!(await this.start(this.data))) throw new Error(`the broker does not start; see ${this.#log}`)
    return `the broker did not start again (${how}), so it lost everything; its directory is now ${aside}`
  }

  endWithin(ms: number): Promise<BrokerEnd | null> {
    return within(ms, this.broker.ended)
  }

  /** The process is dead, and everybody learns it. @returns publishes that were under way. */
  async bury(): Promise<number> {
    for (const network of this.networks) {
      network.targetPort = 0
      network.dropAll()
    }
    const counts = await this.askAll<number>({ do: 'count' })
    return counts.reduce((sum, count) => sum + count, 0)
  }
}

/** @returns null when it takes longer. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | null> {
  let timer: TimerHandle | undefined
  const late = new Promise<null>((resolve) => {
    timer = systemTimers.schedule(ms, () => resolve(null))
  })
  const result = await Promise.race([promise, late])
  timer?.cancel()
  return result
}
