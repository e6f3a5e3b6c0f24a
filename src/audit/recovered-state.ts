/** The state that a broker has which starts on a store, by the code that it starts with; nothing is written. */
import { DEFAULT_LIMITS } from '../core/limits.js'
import type { Store, StoreEntry, StoreOperation, StoreRange, StoreTable } from '../core/ports/store.js'
import { recover } from '../core/replay.js'
import { type BrokerPorts, BrokerState } from '../core/state.js'
import { keyNumber } from '../core/store-keys.js'
import { type ProblemPlace, reasonOf } from './problems.js'

export interface RecoveredState {
  /** Half recovered when `stopped` says why. */
  readonly state: BrokerState
  /** Where recovery could not go on. */
  readonly stopped: { readonly place: ProblemPlace; readonly reason: string } | null
}

export function recoveredState(store: Store): RecoveredState {
  const read = new NotingStore(store)
  const state = new BrokerState(silentPorts(read))
  try {
    recover(state)
    state.wakeAll()
    return { state, stopped: null }
  } catch (error) {
    return { state, stopped: { place: read.last ?? {}, reason: reasonOf(error) } }
  }
}

/** @throws Error when a broker could not start on the store. */
export function recoveredOrThrow(store: Store): BrokerState {
  const { state, stopped } = recoveredState(store)
  if (stopped === null) return state
  throw new Error(`the store cannot be recovered: ${stopped.reason}; run \`tallymq ledger verify\``)
}

function silentPorts(store: Store): BrokerPorts {
  return {
    limits: DEFAULT_LIMITS,
    access: {
      allowsEverything: true,
      authenticate: () => ({ accepted: false, reasonCode: 0x87, detail: 'an audit takes no connections' }),
      authorize: () => false,
    },
    store,
    events: { emit: () => undefined },
    durability: 'flush',
    incarnation: '',
    ids: { randomId: () => '' },
    presence: false,
    authenticating: () => undefined,
  }
}

/** Remembers the row that was read last in order, so that a recovery that stops can say where. */
class NotingStore implements Store {
  readonly #store: Store
  last: (ProblemPlace & { readonly table: StoreTable }) | null = null

  constructor(store: Store) {
    this.#store = store
  }

  get(table: StoreTable, key: Uint8Array): Uint8Array | undefined {
    return this.#store.get(table, key)
  }

  *entries(range: StoreRange): IterableIterator<StoreEntry> {
    const { table } = range
    for (const entry of this.#store.entries(range)) {
      const { key } = entry
      this.last = table === 'journal' ? { table, key, record: keyNumber(key) } : { table, key }
      yield entry
    }
    this.last = null
  }

  commit(_operations: readonly StoreOperation[], _done: (error: null) => void): void {
    throw new Error('an audit writes nothing')
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}
