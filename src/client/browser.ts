/** `tallymq/client` in a browser: WebSocket only, outbox in memory or IndexedDB. No `Buffer`, nothing of Node. */
import type { Client, ConnectOptions } from './api.js'
import { browserWebSocket } from './browser-websocket.js'
import { openClient } from './open-client.js'

export type * from './api.js'
export type { OutboxChange, OutboxContents, OutboxEntry } from './outbox.js'
export { openIndexedDbOutbox } from './outbox-indexeddb.js'
export { openMemoryOutbox } from './outbox-memory.js'
export { prepareBatch, prepareMessage } from './producer-message.js'
export type { PreparedMessage, ProducerOutboxChange, ProducerRow } from './producer-outbox.js'
export { openIndexedDbProducerOutbox } from './producer-outbox-indexeddb.js'
export { openMemoryProducerOutbox } from './producer-outbox-memory.js'
export { TALLY_ERROR_CODES, TallyError } from './tally-error.js'

const BROWSER = { webSocket: browserWebSocket, tcp: undefined }

/**
 * Resolves on the first accepted CONNACK. @throws TallyError on a final refusal, on `signal`, or without
 * `reconnect`.
 */
export function connect(options: ConnectOptions): Promise<Client> {
  return openClient(options, BROWSER)
}
