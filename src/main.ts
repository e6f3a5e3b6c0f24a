/**
 * The composition root: takes parsed options and puts the broker together. Every folder is imported here and only here;
 * read it top to bottom to know what is plugged into what. Nothing is decided but the order in which things start.
 */
import * as crypto from 'node:crypto'
import type { Hash } from './base/stream-digest.js'
import { allowAll } from './auth/allow-all.js'
import { StaticRules } from './auth/static-rules.js'
import type { Options } from './config/options.js'
import { Broker } from './core/broker.js'
import type { Access } from './core/ports/access.js'
import type { BrokerCounters } from './core/ports/events.js'
import type { Store } from './core/ports/store.js'
import { mqttCodec } from './protocol/mqtt/codec.js'
import { nativeCodec } from './protocol/msgpack/codec.js'
import { ReasonCode } from './protocol/reason-codes.js'
import { type Doors, makeDoors } from './main/doors.js'
import { SystemTopics } from './main/system-topics.js'
import { checkExposure } from './server/listeners.js'
import { CONNECT_PACKET_SIZE_MAX, Shell } from './server/shell.js'
import { Shutdown } from './server/shutdown.js'
import { systemTimers } from './server/system-clock.js'
import { openLmdbStore } from './storage/lmdb/open-lmdb-store.js'
import { MemoryStore } from './storage/memory/memory-store.js'
import { Log } from './telemetry/log.js'
import { WsTransport } from './transport/ws.js'

export interface RunningBroker {
  /** `http://127.0.0.1:8083`: health under `/healthz`, WebSocket under `/tally` and `/mqtt`. */
  readonly httpUrl: string
  /** `mqtt://127.0.0.1:1883`, or null when there is no such listener. */
  readonly mqttUrl: string | null
  /** `mqtts://127.0.0.1:8883`, or null. */
  readonly mqttsUrl: string | null
  readonly broker: Broker
  readonly shell: Shell
  readonly counters: BrokerCounters
  /**
   * Resolves when the broker has stopped itself: the clients know, the store is useless, the process should exit. After
   * a StoreError STORE_STALLED by a signal, as `process.exit` waits for the thread that waits for the disk.
   */
  readonly fatal: Promise<Error>
  /** New connections get what the certificate files hold now; what cannot be used is said in the log and left. */
  reloadCertificates(): void
  /**
   * In good order: what was accepted is committed and acknowledged, then everybody is told.
   * @param serverReference where MQTT 5 clients should go instead; `mqtt.serverReference` if absent.
   */
  stop(serverReference?: string): Promise<void>
}

/** How long peers may take to close after the broker has said goodbye. */
const CLOSE_TIMEOUT_MS = 2_000
/**
 * In one call where Node has it (20.12 and later): half the cost for the few hundred bytes it is given. As a string of
 * 32 characters, because a Buffer for each result costs as much as hashing 500 bytes.
 */
const platformHash: Hash =
  crypto.hash === undefined
    ? (bytes) => crypto.createHash('sha256').update(bytes).digest()
    : (bytes) => bytesOf(crypto.hash('sha256', bytes, 'binary'))

function bytesOf(latin1: string): Uint8Array {
  const bytes = new Uint8Array(latin1.length)
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = latin1.charCodeAt(index)
  return bytes
}

/** Several packets may share a WebSocket message; so many of the largest are taken. */
const PACKETS_PER_MESSAGE = 4

/** @throws ListenError, StoreError, RangeError: nothing is left open then. */
export async function createBroker(options: Options): Promise<RunningBroker> {
  const access: Access = options.access.mode === 'rules' ? new StaticRules(options.access) : allowAll
  checkExposure(access, options.listen.host, options.access.allowPublicAnonymous)
  const log = new Log({ level: options.log.level, clock: systemTimers })
  let storeFailed: (error: Error) => void = () => {}
  const { store, incarnation } = await openStore(options, log, (error) => storeFailed(error))
  let doors: Doors | null = null
  try {
    const parts = assemble(options, access, log, store, incarnation)
    doors = parts.doors
    storeFailed = (error) => parts.shell.fail(error)
    const urls = await doors.open()
    parts.shell.start()
    log.info({ ...urls, durability: options.durability, writesFrames: parts.writesFrames }, 'listening')
    return {
      ...urls,
      broker: parts.broker,
      shell: parts.shell,
      counters: parts.broker.counters,
      fatal: parts.fatal,
      reloadCertificates: () => reloadCertificates(parts.doors, log),
      stop: (serverReference = options.mqtt.serverReference ?? undefined) => parts.shutdown.stop(serverReference),
    }
  } catch (error) {
    doors?.close()
    await store.close()
    throw error
  }
}

function reloadCertificates(doors: Doors, log: Log): void {
  try {
    if (doors.reloadCertificates()) log.info({}, 'the certificate files have been read again')
  } catch (error) {
    log.warn({ detail: error instanceof Error ? error.message : String(error) }, 'the old certificate stays in force')
  }
}

async function openStore(
  options: Options,
  log: Log,
  onFatal: (error: Error) => void,
): Promise<{ store: Store; incarnation: string }> {
  if (options.store === 'memory') return { store: new MemoryStore(), incarnation: crypto.randomUUID() }
  const store = await openLmdbStore({
    directory: options.dataDirectory,
    durability: options.durability,
    commitTimeoutMs: options.storage.commitTimeoutMs,
    mapSizeBytes: options.storage.mapSizeBytes,
    timers: systemTimers,
    onFatal,
  })
  const { incarnation, previousIncarnation } = store
  if (previousIncarnation !== null) {
    log.warn({ incarnation, previousIncarnation }, 'the data directory is a copy or was restored: a new incarnation')
  }
  return { store, incarnation }
}

function assemble(options: Options, access: Access, log: Log, store: Store, incarnation: string) {
  const systemTopics = new SystemTopics(options.sys.intervalSec, log, systemTimers.nowMs())
  const broker: Broker = new Broker({
    limits: options.limits,
    idempotency: options.producers,
    ledger: options.ledger,
    features: options.mqtt,
    access,
    store,
    events: systemTopics,
    durability: options.durability,
    incarnation,
    hash: platformHash,
    ids: { randomId: () => crypto.randomBytes(16).toString('base64url') },
    presence: options.presence.enabled,
    authenticating: (connection, pending) => shell.authenticating(connection, pending),
  })
  broker.recover(systemTimers.nowMs())
  let tellFatal: (error: Error) => void = () => {}
  const fatal = new Promise<Error>((resolve) => {
    tellFatal = resolve
  })
  const shell: Shell = new Shell({
    core: broker,
    store,
    durability: options.durability,
    timers: systemTimers,
    defer: setImmediate,
    limits: options.limits,
    acceptMqtt31: options.mqtt.acceptMqtt31,
    heartbeat: { ...options.heartbeat, closeTimeoutMs: CLOSE_TIMEOUT_MS },
    onRefused: (link, detail) => {
      log.emit({ type: 'connect-refused', clientId: '', link, reasonCode: ReasonCode.CONNECTION_RATE_EXCEEDED, detail })
    },
    onTick: (nowMs) => systemTopics.tick(broker, shell, nowMs),
    onFatal: (error) => {
      log.fatal(error)
      // The process may end once this resolves, so the farewells go first.
      void shell.allGone(CLOSE_TIMEOUT_MS).then(() => tellFatal(error))
    },
  })
  const ws = webSocketTransport(options, shell)
  const doors = makeDoors({
    options,
    shell,
    ws,
    mqttCodec,
    timers: systemTimers,
    refused: (transport, remoteAddress, detail) => {
      const link = { transport, protocol: 'mqtt', remoteAddress } as const
      log.emit({ type: 'protocol-error', clientId: null, link, reasonCode: ReasonCode.MALFORMED_PACKET, detail })
    },
  })
  const { servers } = doors
  // Whoever subscribes first finds them.
  systemTopics.tick(broker, shell, systemTimers.nowMs())
  const shutdown = new Shutdown({ servers, shell, store, graceMs: CLOSE_TIMEOUT_MS, onStopped: () => log.flush() })
  return { broker, shell, doors, shutdown, fatal, writesFrames: ws.writesFrames }
}

function webSocketTransport(options: Options, shell: Shell): WsTransport {
  return new WsTransport(
    shell,
    { native: nativeCodec, mqtt: mqttCodec },
    {
      allowedOrigins: options.http.allowedOrigins,
      messageBytesMax: options.limits.maximumPacketSize * PACKETS_PER_MESSAGE,
      connectMessageBytesMax: Math.min(options.limits.maximumPacketSize, CONNECT_PACKET_SIZE_MAX) * 2,
      closeTimeoutMs: CLOSE_TIMEOUT_MS,
      acceptMqtt31: options.mqtt.acceptMqtt31,
    },
  )
}
