/** The store contract on the memory adapter. */
import t from 'tap'
import { MemoryStore } from '../../src/storage/memory/memory-store.js'
import { storeContract } from './store-contract.js'

storeContract(t, async () => new MemoryStore())
