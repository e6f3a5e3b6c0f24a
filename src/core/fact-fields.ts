/** Fields that journal facts and stored rows share, each with its two halves: terms of a copy, subscription, Will. */
import { assert } from '../base/assert.js'
import type { ByteReader } from '../base/byte-reader.js'
import type { ByteWriter } from '../base/byte-writer.js'
import type { DropReason, QoS, WillMessage } from '../protocol/packets.js'
import { DROP_REASONS } from './drop-reasons.js'
import type { CopyTerms } from './message.js'
import { readProperties, readQoS, writeProperties } from './stored-body.js'

export interface SubscribedFact {
  readonly shareName: string | null
  readonly topicFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  readonly subscriptionIdentifier: number
  readonly subscriptionNumber: number
  /** Retained messages are still to be sent for it. */
  readonly isRetainedPending: boolean
}

const TERMS = { RETAIN: 4, IDENTIFIERS: 8, SHARED: 16, ASSIGNED: 32, ACCOUNT: 64 } as const

/** @param account -1: the reader knows it. */
export function writeTerms(writer: ByteWriter, terms: CopyTerms, packetId: number, account: number): void {
  let flags: number = terms.qos
  if (terms.retain) flags |= TERMS.RETAIN
  if (terms.subscriptionIdentifiers !== null) flags |= TERMS.IDENTIFIERS
  if (terms.sharedSubscriptionNumber !== 0) flags |= TERMS.SHARED
  if (packetId !== 0) flags |= TERMS.ASSIGNED
  if (account >= 0) flags |= TERMS.ACCOUNT
  writer.u8(flags)
  if (packetId !== 0) writer.varint(packetId)
  if (terms.sharedSubscriptionNumber !== 0) writer.varint(terms.sharedSubscriptionNumber)
  if (account >= 0) writer.varint(account)
  if (terms.subscriptionIdentifiers === null) return
  writer.varint(terms.subscriptionIdentifiers.length)
  for (const identifier of terms.subscriptionIdentifiers) writer.varint(identifier)
}

export function readTerms(reader: ByteReader): { terms: CopyTerms; packetId: number; account: number } {
  const flags = reader.u8()
  const qos = flags & 3
  assert(qos === 1 || qos === 2, 'a stored copy has QoS 1 or 2')
  const packetId = flags & TERMS.ASSIGNED ? reader.varint() : 0
  const sharedSubscriptionNumber = flags & TERMS.SHARED ? reader.varint() : 0
  const account = flags & TERMS.ACCOUNT ? reader.varint() : -1
  let subscriptionIdentifiers: number[] | null = null
  if (flags & TERMS.IDENTIFIERS) {
    subscriptionIdentifiers = Array.from({ length: reader.varint() }, () => reader.varint())
  }
  const retain = (flags & TERMS.RETAIN) !== 0
  return { terms: { qos, retain, subscriptionIdentifiers, sharedSubscriptionNumber }, packetId, account }
}

const SUBSCRIPTION = { NO_LOCAL: 4, RETAIN_AS_PUBLISHED: 8, SHARED: 64, RETAINED_PENDING: 128 } as const

export function writeSubscription(writer: ByteWriter, subscription: SubscribedFact): void {
  let flags: number = subscription.qos | (subscription.retainHandling << 4)
  if (subscription.noLocal) flags |= SUBSCRIPTION.NO_LOCAL
  if (subscription.retainAsPublished) flags |= SUBSCRIPTION.RETAIN_AS_PUBLISHED
  if (subscription.shareName !== null) flags |= SUBSCRIPTION.SHARED
  if (subscription.isRetainedPending) flags |= SUBSCRIPTION.RETAINED_PENDING
  writer.u8(flags)
  if (subscription.shareName !== null) writer.text(subscription.shareName)
  writer.text(subscription.topicFilter)
  writer.varint(subscription.subscriptionIdentifier)
  writer.varint(subscription.subscriptionNumber)
}

export function readSubscription(reader: ByteReader): SubscribedFact {
  const flags = reader.u8()
  const retainHandling = (flags >> 4) & 3
  assert(retainHandling !== 3, 'stored Retain Handling is 0, 1 or 2')
  return {
    qos: readQoS(flags & 3),
    noLocal: (flags & SUBSCRIPTION.NO_LOCAL) !== 0,
    retainAsPublished: (flags & SUBSCRIPTION.RETAIN_AS_PUBLISHED) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
    isRetainedPending: (flags & SUBSCRIPTION.RETAINED_PENDING) !== 0,
    shareName: flags & SUBSCRIPTION.SHARED ? reader.text() : null,
    topicFilter: reader.text(),
    subscriptionIdentifier: reader.varint(),
    subscriptionNumber: reader.varint(),
  }
}

/** @param flags the first byte of a stored subscription. */
export function isSharedSubscription(flags: number): boolean {
  return (flags & SUBSCRIPTION.SHARED) !== 0
}

export function writeWill(writer: ByteWriter, will: WillMessage | null): void {
  writer.u8(will === null ? 0 : 1)
  if (will === null) return
  const { willDelayIntervalSec, ...properties } = will.properties
  writer.text(will.topicName)
  writer.bytes(will.payload)
  writer.u8(will.qos | (will.retain ? 4 : 0))
  writer.varint(willDelayIntervalSec ?? 0)
  writeProperties(writer, properties)
}

export function readWill(reader: ByteReader): WillMessage | null {
  if (reader.u8() === 0) return null
  const topicName = reader.text()
  const payload = reader.bytes()
  const flags = reader.u8()
  const willDelayIntervalSec = reader.varint()
  const properties = { ...readProperties(reader), willDelayIntervalSec }
  return { topicName, payload, qos: readQoS(flags & 3), retain: (flags & 4) !== 0, properties }
}

export function writeOptionalText(writer: ByteWriter, text: string | null): void {
  writer.u8(text === null ? 0 : 1)
  if (text !== null) writer.text(text)
}

export function readOptionalText(reader: ByteReader): string | null {
  return reader.u8() === 0 ? null : reader.text()
}

export function readDropReason(index: number): DropReason {
  const reason = DROP_REASONS[index]
  assert(reason !== undefined, 'stored drop reason is known')
  return reason
}
