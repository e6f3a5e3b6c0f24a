/**
 * PRODUCER_OPEN and PRODUCE: exactly once from the outbox of a publisher. A message is stored when its sequence is the
 * next one and answered when it is a known one, decided against memory; every answer leaves behind the commit that
 * makes it true. What cannot be told is refused, never guessed. A message that is refused uses up its sequence, so that
 * one bad message does not hold up the stream behind it, and its refusal is kept until the client confirms it.
 */
import {
  type PublishProperties,
  type ProduceMessage,
  PacketType,
  type ProducePacket,
  type ProducedPacket,
  type ProducerOpenedPacket,
  type ProducerOpenPacket,
  ProducerReason,
  type ProducerRefusal,
} from '../protocol/packets.js'
import { ProtocolError } from '../protocol/protocol-error.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { topicNameProblem } from '../protocol/topics.js'
import type { ClientConnection } from './connection.js'
import type { OpenProducer, Producer } from './producer.js'
import { type Ahead, publish, type Refusal, refusalOf } from './publish.js'
import type { Session } from './session.js'
import type { BrokerState } from './state.js'

const NO_REFUSALS: readonly ProducerRefusal[] = []

export function receiveProducerOpen(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: ProducerOpenPacket,
): void {
  const { handle, producerId, confirmedSequence } = packet
  const before = connection.producers?.get(handle)
  if (before !== undefined && !before.isFenced && !isSame(before.producer.producerId, producerId)) {
    const detail = `handle ${handle} stands for another producer on this connection; choose a free one`
    throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, detail)
  }
  const known = state.producers.find(producerId)
  const refusal = openRefusal(state, connection, session, packet, known)
  if (refusal !== null) {
    if (known !== undefined) state.producers.release(known)
    return refuseOpen(state, connection, packet, refusal)
  }
  const producer = known ?? state.producers.create(producerId, session.username)
  fence(state, producer, connection, handle)
  producer.epoch += 1
  state.producers.touch(producer, state.recordNumber)
  state.record.producerOpened(producer.producerId, producer.epoch, producer.username)
  confirm(state, producer, confirmedSequence)
  producer.open = { producer, connection, handle, isFenced: false }
  connection.producers ??= new Map()
  connection.producers.set(handle, producer.open)
  if (producer.sequence < confirmedSequence) noteBehind(state, session, producer, confirmedSequence)
  answer(connection, {
    type: PacketType.PRODUCER_OPENED,
    handle,
    reasonCode: ProducerReason.SUCCESS,
    epoch: producer.epoch,
    sequence: producer.sequence,
    digest: producer.digest.digest(),
    incarnation: state.ports.incarnation,
    refusals: producer.refusals.slice(),
  })
}

function openRefusal(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: ProducerOpenPacket,
  known: Producer | undefined,
): Refusal | null {
  const { producersMax, producersPerConnectionMax } = state.limits
  const isOpenHere = connection.producers?.has(packet.handle) ?? false
  if (!isOpenHere && (connection.producers?.size ?? 0) >= producersPerConnectionMax) {
    const detail = `one connection has at most ${producersPerConnectionMax} producers open here`
    return { reasonCode: ReasonCode.QUOTA_EXCEEDED, detail }
  }
  if (known === undefined) {
    if (packet.confirmedSequence > 0) {
      const detail = 'this producer is not known here although it has sent before: check which broker and data it used'
      return { reasonCode: ProducerReason.UNKNOWN_PRODUCER, detail }
    }
    if (state.producers.count < producersMax) return null
    return { reasonCode: ReasonCode.QUOTA_EXCEEDED, detail: 'the limit of producers is reached' }
  }
  if (known.username !== null && known.username !== session.username && !state.ports.access.allowsEverything) {
    return { reasonCode: ReasonCode.NOT_AUTHORIZED, detail: 'this producer belongs to another user' }
  }
  const { digest } = packet
  if (digest === null || packet.confirmedSequence !== known.sequence) return null
  if (isSame(digest, known.digest.digest())) return null
  const detail =
    'what is stored under these sequences is something else: the outbox was restored, or two publishers use it'
  return { reasonCode: ProducerReason.DIVERGED, detail }
}

function refuseOpen(
  state: BrokerState,
  connection: ClientConnection,
  packet: ProducerOpenPacket,
  { reasonCode, detail }: Refusal,
): void {
  const { clientId } = connection
  state.ports.events.emit({
    type: 'producer-refused',
    clientId,
    producer: hexOf(packet.producerId),
    reasonCode,
    detail,
  })
  const { incarnation } = state.ports
  const refused = { epoch: 0, sequence: 0, digest: null, incarnation, refusals: NO_REFUSALS, reasonString: detail }
  answer(connection, { type: PacketType.PRODUCER_OPENED, handle: packet.handle, reasonCode, ...refused })
}

/** Whoever had it open is told, and gets nothing stored any more. A handle opened again is no other publisher. */
function fence(state: BrokerState, producer: Producer, connection: ClientConnection, handle: number): void {
  const before = producer.open
  if (before === null) return
  before.isFenced = true
  if (before.connection === connection && before.handle === handle) return
  const { clientId } = before.connection
  state.ports.events.emit({
    type: 'producer-fenced',
    clientId,
    producer: hexOf(producer.producerId),
    by: connection.clientId,
  })
  answerFenced(before)
}

function answerFenced({ connection, handle, producer }: OpenProducer): void {
  const detail = 'this producer has been opened again; one publisher at a time'
  answer(connection, failed(handle, ProducerReason.FENCED, producer, detail))
}

/** Everything the publisher knows to be stored should be here: data was restored, or it used another broker. */
function noteBehind(state: BrokerState, session: Session, producer: Producer, confirmedSequence: number): void {
  const { clientId } = session
  const { sequence } = producer
  const name = hexOf(producer.producerId)
  state.ports.events.emit({ type: 'producer-behind', clientId, producer: name, sequence, confirmedSequence })
}

/** The connection is gone: nobody has its producers open. */
export function closeProducers(state: BrokerState, connection: ClientConnection): void {
  if (connection.producers === null) return
  for (const open of connection.producers.values()) {
    if (open.producer.open === open) state.producers.closed(open.producer)
  }
  connection.producers = null
}

export function receiveProduce(
  state: BrokerState,
  connection: ClientConnection,
  session: Session,
  packet: ProducePacket,
  nowMs: number,
): void {
  const { handle, firstSequence, messages } = packet
  const open = connection.producers?.get(handle)
  if (open === undefined) {
    const detail = `handle ${handle} is not open: send PRODUCER_OPEN and wait for its success`
    throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, detail)
  }
  // A sum beyond 2^53 would be rounded.
  if (firstSequence < 1 || firstSequence - 1 > Number.MAX_SAFE_INTEGER - messages.length) {
    throw new ProtocolError(ReasonCode.PROTOCOL_ERROR, 'sequences count from 1 to 2^53-1')
  }
  if (open.isFenced) return answerFenced(open)
  const { producer } = open
  confirm(state, producer, packet.confirmedSequence)
  const known = Math.min(messages.length, Math.max(0, producer.sequence - firstSequence + 1))
  const obstacle = obstacleTo(state, producer, packet, known)
  if (obstacle !== null) {
    return answer(connection, failed(handle, obstacle.reasonCode, producer, obstacle.detail))
  }
  state.counters.duplicatesRefused += known
  for (let index = 0; index < known; index += 1) {
    state.ledger.duplicate(session, (messages[index] as ProduceMessage).topicName)
  }
  const { accepted } = producer
  if (known < messages.length) store(state, session, producer, packet, known, nowMs)
  const produced: ProducedPacket = {
    type: PacketType.PRODUCED,
    handle,
    reasonCode: ProducerReason.SUCCESS,
    sequence: producer.sequence,
    digest: producer.digest.digest(),
    refusals: refusalsAmong(producer, firstSequence, firstSequence + messages.length - 1),
  }
  answer(connection, produced, producer.accepted - accepted)
}

/** Why nothing of it can be stored, not even as refused. @param known so many of the first messages are duplicates. */
function obstacleTo(state: BrokerState, producer: Producer, packet: ProducePacket, known: number): Refusal | null {
  const { firstSequence, messages, isAtomic } = packet
  const next = producer.sequence + 1
  if (firstSequence > next) {
    return { reasonCode: ProducerReason.SEQUENCE_GAP, detail: `sequence ${next} must come first` }
  }
  // Who sends a batch again sends the same batch. A part of it was never stored, so this is another one.
  if (isAtomic && known > 0 && known < messages.length) {
    const detail = `an atomic batch is new or known as a whole; this one reaches across sequence ${next}`
    return { reasonCode: ProducerReason.SEQUENCE_GAP, detail }
  }
  if (known === messages.length || producer.refusals.length < state.limits.producerRefusalsMax) return null
  const detail = `${producer.refusals.length} refusals wait to be confirmed: keep them, then raise confirmedSequence`
  return { reasonCode: ProducerReason.UNCONFIRMED_REFUSALS, detail }
}

/** Takes the messages from `from` on: each gets its sequence, its place in the digest, and is published or refused. */
function store(
  state: BrokerState,
  session: Session,
  producer: Producer,
  packet: ProducePacket,
  from: number,
  nowMs: number,
): void {
  const { messages, encoded, ends } = packet
  const verdicts = packet.isAtomic ? judgeBatch(state, session, messages) : null
  state.producers.advanced(producer, state.recordNumber)
  producer.digest.update(from === 0 ? encoded : encoded.subarray(ends[from - 1]))
  for (let index = from; index < messages.length; index += 1) {
    const message = messages[index] as ProduceMessage
    producer.sequence += 1
    state.counters.publishesReceived += 1
    state.counters.publishBytesReceived += message.payload.length
    const refusal = verdicts === null ? judge(state, session, message, null) : (verdicts[index] as Refusal)
    if (refusal === null) {
      producer.accepted += 1
      publish(state, message, session, nowMs)
    } else {
      state.ledger.refused(session, message.topicName, refusal.reasonCode)
      refuse(state, producer, refusal)
    }
  }
}

function refuse(state: BrokerState, producer: Producer, { reasonCode, detail }: Refusal): void {
  producer.refused += 1
  state.counters.publishesRefused += 1
  const refusal = { sequence: producer.sequence, reasonCode, reasonString: detail }
  producer.refuse(refusal)
  state.record.producerRefused(producer.producerId, refusal)
}

const BATCH_REFUSED: Refusal = {
  reasonCode: ProducerReason.BATCH_REFUSED,
  detail: 'another message of the same atomic batch was refused',
}

/** All or none. @returns null: all of them can be taken; else a refusal for each. */
function judgeBatch(state: BrokerState, session: Session, messages: readonly ProduceMessage[]): Refusal[] | null {
  // What the messages before would fill counts, or the last of them might find no room.
  const ahead: Ahead = { messages: 0, bytes: 0, retainedMessages: 0, retainedBytes: 0 }
  const verdicts: (Refusal | null)[] = []
  let isRefused = false
  for (const message of messages) {
    const verdict = judge(state, session, message, ahead)
    verdicts.push(verdict)
    isRefused ||= verdict !== null
    const byteLength = message.topicName.length + message.payload.length
    ahead.messages += 1
    ahead.bytes += byteLength
    if (!message.retain) continue
    ahead.retainedMessages += 1
    ahead.retainedBytes += byteLength
  }
  return isRefused ? verdicts.map((verdict) => verdict ?? BATCH_REFUSED) : null
}

/** What ends a connection in a PUBLISH is a refusal here: sent again, as it would be, it would end the next one too. */
function judge(state: BrokerState, session: Session, message: ProduceMessage, ahead: Ahead | null): Refusal | null {
  const { maximumQoS, retainAvailable } = state.features
  if (message.qos > maximumQoS) {
    return { reasonCode: ReasonCode.QOS_NOT_SUPPORTED, detail: `publications have QoS ${maximumQoS} at most here` }
  }
  if (message.retain && !retainAvailable) {
    return { reasonCode: ReasonCode.RETAIN_NOT_SUPPORTED, detail: 'retained messages are switched off here' }
  }
  const problem = message.properties === null ? null : propertiesRefusal(state, message.properties)
  return problem ?? refusalOf(state, session, message, ahead)
}

function propertiesRefusal(state: BrokerState, properties: PublishProperties): Refusal | null {
  if (properties.topicAlias !== undefined) {
    return { reasonCode: ReasonCode.TOPIC_ALIAS_INVALID, detail: 'a producer names its topics in full' }
  }
  if (properties.subscriptionIdentifiers !== undefined) {
    const detail = 'a subscription identifier goes from the server to the client only'
    return { reasonCode: ReasonCode.PROTOCOL_ERROR, detail }
  }
  if (properties.responseTopic === undefined) return null
  const problem = topicNameProblem(properties.responseTopic, state.limits)
  return problem === undefined
    ? null
    : { reasonCode: ReasonCode.TOPIC_NAME_INVALID, detail: `Response Topic: ${problem}` }
}

function confirm(state: BrokerState, producer: Producer, confirmedSequence: number): void {
  const confirmed = Math.min(confirmedSequence, producer.sequence)
  // Without refusals there is nothing to forget, and a fact for every packet would only cost.
  const oldest = producer.refusals[0]
  if (oldest === undefined || oldest.sequence > confirmed) return
  producer.confirm(confirmed)
  state.producers.touch(producer, state.recordNumber)
  state.record.producerConfirmed(producer.producerId, confirmed)
}

function refusalsAmong(producer: Producer, first: number, last: number): readonly ProducerRefusal[] {
  if (producer.refusals.length === 0) return NO_REFUSALS
  return producer.refusals.filter(({ sequence }) => sequence >= first && sequence <= last)
}

function failed(handle: number, reasonCode: number, producer: Producer, reasonString: string): ProducedPacket {
  const { sequence } = producer
  return { type: PacketType.PRODUCED, handle, reasonCode, sequence, digest: null, refusals: NO_REFUSALS, reasonString }
}

/** Behind the commit, whatever it says. A peer with a small Maximum Packet Size gets it without the sentences. */
/** @param promised messages that the packet says are safe, and none before it has said so of. */
function answer(connection: ClientConnection, packet: ProducerOpenedPacket | ProducedPacket, promised = 0): void {
  const { link, maximumPacketSize } = connection
  const isBounded = maximumPacketSize !== Number.POSITIVE_INFINITY
  if (connection.isProblemInformationWanted && (!isBounded || link.packetSize(packet) <= maximumPacketSize)) {
    link.sendAfterCommit(packet, promised)
    return
  }
  const { reasonString: _sentence, ...rest } = packet
  const refusals = packet.refusals.map(({ sequence, reasonCode }) => ({ sequence, reasonCode }))
  const bare = { ...rest, refusals }
  if (isBounded && link.packetSize(bare) > maximumPacketSize) {
    const detail = 'the Maximum Packet Size leaves no room for what a producer is answered'
    throw new ProtocolError(ReasonCode.PACKET_TOO_LARGE, detail)
  }
  link.sendAfterCommit(bare, promised)
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index])
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
