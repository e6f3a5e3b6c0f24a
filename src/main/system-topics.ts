/**
 * Fills the topics under `$SYS/broker`: collects the figures where they are and hands what has changed to the core, on
 * the ticks of the heartbeat. What the topics are called and how loads are averaged is in `telemetry/sys-tree.ts`.
 */
import { packageVersion } from '../config/package-version.js'
import type { Broker } from '../core/broker.js'
import type { BrokerEvent, EventSink } from '../core/ports/events.js'
import { publishSystemTopic } from '../core/system-topics.js'
import type { Shell } from '../server/shell.js'
import { type SysFigures, SysTree } from '../telemetry/sys-tree.js'

/** Stands before the event sink, because ended sessions are counted nowhere else. */
export class SystemTopics implements EventSink {
  readonly #tree: SysTree
  readonly #next: EventSink
  #clientsExpired = 0

  constructor(intervalSec: number, next: EventSink, startedAtMs: number) {
    this.#tree = new SysTree({ version: `tallymq version ${packageVersion()}`, intervalSec, startedAtMs })
    this.#next = next
  }

  emit(event: BrokerEvent): void {
    if (event.type === 'session-ended' && event.reason === 'expired') this.#clientsExpired += 1
    this.#next.emit(event)
  }

  tick(broker: Broker, shell: Shell, nowMs: number): void {
    if (!this.#tree.isDue(nowMs)) return
    const figures = figuresOf(broker, shell, this.#clientsExpired)
    this.#tree.refresh(figures, nowMs, (topicName, text) => publishSystemTopic(broker.state, topicName, text))
  }
}

function figuresOf(broker: Broker, shell: Shell, clientsExpired: number): SysFigures {
  const { counters, state } = broker
  const { traffic } = shell
  let clientsConnected = 0
  let { copies, copyBytes } = state.sleepingSessions
  for (const session of state.sessions.awake()) {
    if (session.isConnected) clientsConnected += 1
    copies += session.queue.count + session.inflight.size
    copyBytes += session.queue.byteLength
  }
  return {
    clientsTotal: state.sessions.size,
    clientsConnected,
    clientsExpired,
    packetsReceived: traffic.packetsReceived,
    packetsSent: traffic.packetsSent,
    bytesReceived: traffic.bytesReceived,
    bytesSent: traffic.bytesSent,
    publishesReceived: counters.publishesReceived,
    publishesSent: counters.publishesSent,
    publishesUnflushed: shell.promises.unflushed,
    publishesDropped: counters.dropped['queue-full'] + counters.dropped['slow-consumer'],
    publishBytesReceived: counters.publishBytesReceived,
    publishBytesSent: counters.publishBytesSent,
    socketsOpened: traffic.socketsOpened,
    socketsOpen: shell.connectionCount,
    connectionsAccepted: traffic.connectionsAccepted,
    storedMessages: copies + state.retained.size,
    storedBytes: copyBytes + state.retainedBytes,
    retainedMessages: state.retained.size + state.systemTopics.size,
    subscriptions: state.subscriptionCount,
    sharedSubscriptions: state.tree.sharedSubscriptionCount,
    heapBytes: process.memoryUsage().heapUsed,
  }
}
