/**
 * Rows of the table `producers`, by producer id: a producer as of one journal record. And the part of it that a journal
 * record repeats whenever the producer has moved on.
 */
import { assert } from '../base/assert.js'
import { ByteReader } from '../base/byte-reader.js'
import { ByteWriter } from '../base/byte-writer.js'
import { sha256 } from '../base/sha256.js'
import { type Hash, StreamDigest } from '../base/stream-digest.js'
import type { ProducerRefusal } from '../protocol/packets.js'
import { readOptionalText, writeOptionalText } from './fact-fields.js'
import { Producer } from './producer.js'

/** Where a producer stands after a record. */
export interface ProducedFact {
  readonly sequence: number
  readonly accepted: number
  readonly refused: number
  /** `StreamDigest.save()`. */
  readonly digest: Uint8Array
}

export function writeProduced(writer: ByteWriter, fact: ProducedFact): void {
  writer.varint(fact.sequence)
  writer.varint(fact.accepted)
  writer.varint(fact.refused)
  writer.bytes(fact.digest)
}

export function readProduced(reader: ByteReader): ProducedFact {
  return { sequence: reader.varint(), accepted: reader.varint(), refused: reader.varint(), digest: reader.bytes() }
}

export function writeRefusal(writer: ByteWriter, refusal: ProducerRefusal): void {
  writer.varint(refusal.sequence)
  writer.u8(refusal.reasonCode)
  writeOptionalText(writer, refusal.reasonString ?? null)
}

export function readRefusal(reader: ByteReader): ProducerRefusal {
  const sequence = reader.varint()
  const reasonCode = reader.u8()
  const reasonString = readOptionalText(reader)
  return reasonString === null ? { sequence, reasonCode } : { sequence, reasonCode, reasonString }
}

export function applyProduced(producer: Producer, fact: ProducedFact, hash: Hash): void {
  producer.sequence = fact.sequence
  producer.accepted = fact.accepted
  producer.refused = fact.refused
  producer.digest = StreamDigest.restored(fact.digest, hash)
  assert(producer.sequence === producer.accepted + producer.refused, 'every sequence was accepted or refused')
}

export function producerRow(producer: Producer, record: number): Uint8Array {
  const writer = new ByteWriter(192)
  const { sequence, accepted, refused, digest, refusals } = producer
  writer.varint(record)
  writeOptionalText(writer, producer.username)
  writer.varint(producer.epoch)
  writeProduced(writer, { sequence, accepted, refused, digest: digest.save() })
  writer.varint(refusals.length)
  for (const refusal of refusals) writeRefusal(writer, refusal)
  return writer.take()
}

/** Also for whoever checks a store: `rowRecord` is the record as of which the row is true. */
export function readProducerRow(producerId: Uint8Array, row: Uint8Array, hash: Hash = sha256): Producer {
  const reader = new ByteReader(row)
  const record = reader.varint()
  const producer = new Producer(producerId.slice(), readOptionalText(reader), new StreamDigest(hash))
  producer.rowRecord = record
  producer.epoch = reader.varint()
  applyProduced(producer, readProduced(reader), hash)
  for (let left = reader.varint(); left > 0; left -= 1) producer.refuse(readRefusal(reader))
  assert(reader.isAtEnd, 'the row of a producer is read to its end')
  return producer
}
