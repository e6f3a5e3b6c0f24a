/** `tallymq/client` on Node: WebSocket and TCP, outbox in memory or LMDB. A list of exports and one `connect`. */
import type { Client, ConnectOptions } from './api.js'
import { nodeTcp } from './node-tcp.js'
import { nodeWebSocket } from './node-websocket.js'
import { openClient } from './open-client.js'

export type * from './api.js'
export type { OutboxChange, OutboxContents, OutboxEntry } from './outbox.js'
export { openLmdbOutbox } from './outbox-lmdb.js'
export { openMemoryOutbox } from './outbox-memory.js'
export { prepareBatch, prepareMessage } from './producer-message.js'
export type { PreparedMessage, ProducerOutboxChange, ProducerRow } from './producer-outbox.js'
export { type LmdbProducerOutbox, lmdbProducerOutbox, openLmdbProducerOutbox } from './producer-outbox-lmdb.js'
export { openMemoryProducerOutbox } from './producer-outbox-memory.js'
export { TALLY_ERROR_CODES, TallyError } from './tally-error.js'

const NODE = { webSocket: () => nodeWebSocket, tcp: nodeTcp }

/**
 * Resolves on the first accepted CONNACK. @throws TallyError on a final refusal, on `signal`, or without
 * `reconnect`.
 */
export function connect(options: ConnectOptions): Promise<Client> {
  return openClient(options, NODE)
}
