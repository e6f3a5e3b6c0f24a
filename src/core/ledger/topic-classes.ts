/**
 * The topic class of a message: the first configured filter that matches its topic, else the topic's first level.
 * At most so many classes at a time; what comes beyond them is in class `*`. A class lasts as long as an account in it.
 */
import { type FilterLevels, filterLevels, matchesTopic } from '../../protocol/topics.js'
import type { Account } from './account.js'

/** Stands for every client, or every topic, beyond the bound. */
export const OTHERS = '*'
const CACHED_TOPICS_MAX = 4_096

export class TopicClass {
  readonly name: string
  /** By client id; sessions that end with their connection have accounts of their own. */
  readonly lasting = new Map<string, Account>()
  readonly transient = new Map<string, Account>()
  /** Accounts in it that have not woken up. */
  asleep = 0

  constructor(name: string) {
    this.name = name
  }

  of(isTransient: boolean): Map<string, Account> {
    return isTransient ? this.transient : this.lasting
  }
}

export class TopicClasses {
  readonly #filters: { name: string; levels: FilterLevels }[]
  readonly #classesMax: number
  readonly #byName = new Map<string, TopicClass>()
  readonly #byTopic = new Map<string, TopicClass>()
  /** Publishers repeat themselves, and all copies of a message have its topic. */
  #lastTopicName = ''
  #lastClass: TopicClass | null = null

  constructor(topicFilters: readonly string[], classesMax: number) {
    this.#filters = topicFilters.map((name) => ({ name, levels: filterLevels(name) }))
    this.#classesMax = classesMax
  }

  get size(): number {
    return this.#byName.size
  }

  of(topicName: string): TopicClass {
    if (topicName === this.#lastTopicName && this.#lastClass !== null) return this.#lastClass
    let found = this.#byTopic.get(topicName)
    if (found === undefined) {
      found = this.named(this.#boundedName(topicName))
      if (this.#byTopic.size >= CACHED_TOPICS_MAX) this.#byTopic.clear()
      this.#byTopic.set(topicName, found)
    }
    this.#lastTopicName = topicName
    this.#lastClass = found
    return found
  }

  /** For topics that may be anything, such as those of refused publications: they make no new class. */
  known(topicName: string): TopicClass {
    return this.#byName.get(this.#nameOf(topicName)) ?? this.named(OTHERS)
  }

  named(name: string): TopicClass {
    let topicClass = this.#byName.get(name)
    if (topicClass === undefined) {
      topicClass = new TopicClass(name)
      this.#byName.set(name, topicClass)
    }
    return topicClass
  }

  /** Its last account is gone. */
  removeIfEmpty(topicClass: TopicClass): void {
    if (topicClass.lasting.size + topicClass.transient.size + topicClass.asleep > 0) return
    this.#byName.delete(topicClass.name)
    this.#byTopic.clear()
    this.#lastClass = null
  }

  #boundedName(topicName: string): string {
    const name = this.#nameOf(topicName)
    return this.#byName.has(name) || this.#byName.size < this.#classesMax ? name : OTHERS
  }

  #nameOf(topicName: string): string {
    for (const { name, levels } of this.#filters) if (matchesTopic(levels, topicName)) return name
    const slash = topicName.indexOf('/')
    return slash < 0 ? topicName : topicName.slice(0, slash)
  }
}
