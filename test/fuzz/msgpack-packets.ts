/** Arbitrary packets of `tally.v1`: everything the model can say and the wire can carry, in canonical form. */
import fc from 'fast-check'
import { isReasonCodeLegal } from '../../src/protocol/reason-codes.js'
import { PROPERTIES, type PropertyOwner, type PropertyRow } from '../../src/protocol/msgpack/properties.js'
import { encodeProduceMessage, joinMessages } from '../../src/protocol/msgpack/produce.js'
import { type Packet, PacketType, type ProduceMessage } from '../../src/protocol/packets.js'
import { PRODUCER_REASONS, type ProducerReasonPlace } from '../../src/protocol/producer-reasons.js'

const text = fc.string({ unit: 'grapheme', maxLength: 80 }).map((value) => value.replaceAll('\0', ''))
const topic = text.filter((value) => value.length > 0)
const binary = fc.uint8Array({ maxLength: 300 })
const bit = fc.integer({ min: 0, max: 1 })
const uint16 = fc.integer({ min: 1, max: 65_535 })
const uint32 = fc.integer({ min: 1, max: 0xffff_ffff })
const safe = fc.oneof(uint16, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }))
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)

function value(row: PropertyRow): fc.Arbitrary<unknown> {
  switch (row.kind) {
    case 'bit':
      return bit
    case 'uint16':
      return uint16
    case 'uint32':
      return uint32
    case 'str':
      return text
    case 'bin':
      return binary
    case 'pairs':
      return fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 20 })
    case 'identifiers':
      return fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 4 })
  }
}

function properties(owner: PropertyOwner): fc.Arbitrary<Record<string, unknown>> {
  const rows = PROPERTIES.filter((row) => row.owners.includes(owner))
  return fc
    .record(Object.fromEntries(rows.map((row) => [row.name, value(row)])), { requiredKeys: [] })
    .map((record) => ({ ...record }))
}

/** As the model has it where no properties are `null`. */
function propertiesOrNull(owner: PropertyOwner): fc.Arbitrary<Record<string, unknown> | null> {
  return properties(owner).map((record) => (Object.keys(record).length === 0 ? null : record))
}

function reason(type: PacketType): fc.Arbitrary<number> {
  return fc.constantFrom(
    ...Array.from({ length: 256 }, (_, code) => code).filter((code) => isReasonCodeLegal(type, code)),
  )
}

const connect = fc.record(
  {
    type: fc.constant(PacketType.CONNECT),
    protocolLevel: fc.constant(5),
    clientId: text,
    cleanStart: fc.boolean(),
    keepAliveSec: fc.integer({ min: 0, max: 65_535 }),
    username: text,
    password: binary,
    will: fc.record({ topicName: text, payload: binary, qos, retain: fc.boolean(), properties: properties('WILL') }),
    properties: properties('CONNECT').map((record) => {
      if (record.authenticationMethod === undefined) delete record.authenticationData
      return record
    }),
    deliveryCursor: fc.record({ sessionNumber: safe, deliverySequence: fc.oneof(fc.constant(0), safe) }),
  },
  { requiredKeys: ['type', 'protocolLevel', 'clientId', 'cleanStart', 'keepAliveSec', 'properties'] },
)

const connack = fc
  .record(
    {
      type: fc.constant(PacketType.CONNACK),
      sessionPresent: fc.boolean(),
      reasonCode: reason(PacketType.CONNACK),
      properties: properties('CONNACK'),
      durability: fc.constantFrom('flush', 'os', 'memory'),
      resume: fc.record({
        queuedMessages: safe,
        lost: fc.array(fc.record({ reason: fc.constantFrom('expired', 'queue-full', 'offline'), messages: safe })),
      }),
      sessionNumber: safe,
      incarnation: text,
    },
    { requiredKeys: ['type', 'sessionPresent', 'reasonCode', 'properties'] },
  )
  .map((packet) => ({ ...packet, sessionPresent: packet.sessionPresent && packet.reasonCode < 0x80 }))

const publish = fc
  .record({ topicName: topic, payload: binary, qos, retain: fc.boolean(), dup: fc.boolean(), packetId: uint16 })
  .chain((fields) =>
    fc.record({
      type: fc.constant(PacketType.PUBLISH),
      ...Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, fc.constant(field)])),
      dup: fc.constant(fields.dup && fields.qos > 0),
      packetId: fc.constant(fields.qos === 0 ? 0 : fields.packetId),
      properties: propertiesOrNull('PUBLISH'),
    }),
  )

const deliver = fc.record({
  type: fc.constant(PacketType.PUBLISH),
  topicName: topic,
  payload: binary,
  qos: fc.constantFrom(1, 2),
  retain: fc.boolean(),
  dup: fc.boolean(),
  packetId: uint16,
  properties: propertiesOrNull('PUBLISH'),
  deliverySequence: safe,
  messageId: safe,
})

const ack = fc
  .constantFrom(PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP)
  .chain((type) =>
    fc.record(
      {
        type: fc.constant(type),
        packetId: uint16,
        lastPacketId: uint16,
        reasonCode: reason(type),
        properties: propertiesOrNull('ACK'),
      },
      { requiredKeys: ['type', 'packetId', 'reasonCode', 'properties'] },
    ),
  )
  .filter((packet) => packet.lastPacketId !== packet.packetId)

const subscribe = fc.record({
  type: fc.constant(PacketType.SUBSCRIBE),
  packetId: uint16,
  subscriptions: fc.array(
    fc.record({
      topicFilter: text,
      qos,
      noLocal: fc.boolean(),
      retainAsPublished: fc.boolean(),
      retainHandling: fc.constantFrom(0, 1, 2),
    }),
    { minLength: 1, maxLength: 20 },
  ),
  properties: fc.record(
    { subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }), userProperties: value(userPropertiesRow()) },
    { requiredKeys: [] },
  ),
})

const unsubscribe = fc.record({
  type: fc.constant(PacketType.UNSUBSCRIBE),
  packetId: uint16,
  topicFilters: fc.array(text, { minLength: 1, maxLength: 20 }),
  properties: properties('UNSUBSCRIBE'),
})

const filterAck = fc.constantFrom(PacketType.SUBACK, PacketType.UNSUBACK).chain((type) =>
  fc.record({
    type: fc.constant(type),
    packetId: uint16,
    reasonCodes: fc.array(reason(type), { minLength: 1, maxLength: 20 }),
    properties: propertiesOrNull('ACK'),
  }),
)

const ping = fc.record(
  { type: fc.constantFrom(PacketType.PINGREQ, PacketType.PINGRESP), timestampMs: fc.oneof(fc.constant(0), safe) },
  { requiredKeys: ['type'] },
)

const disconnect = fc.record({
  type: fc.constant(PacketType.DISCONNECT),
  reasonCode: reason(PacketType.DISCONNECT),
  properties: propertiesOrNull('DISCONNECT'),
})

const auth = fc.record({
  type: fc.constant(PacketType.AUTH),
  reasonCode: reason(PacketType.AUTH),
  properties: properties('AUTH'),
})

const handle = uint16
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
const digestOrNull = fc.option(digest, { nil: null })

function producerReason(place: ProducerReasonPlace): fc.Arbitrary<number> {
  return fc.constantFrom(...PRODUCER_REASONS.filter((row) => row.places.includes(place)).map((row) => row.value))
}

const refusals = fc
  .uniqueArray(safe, { maxLength: 4 })
  .chain((sequences) =>
    fc.tuple(
      ...sequences
        .sort((left, right) => left - right)
        .map((sequence) =>
          fc.record(
            { sequence: fc.constant(sequence), reasonCode: producerReason('REFUSAL'), reasonString: text },
            { requiredKeys: ['sequence', 'reasonCode'] },
          ),
        ),
    ),
  )

const producerOpen = fc.record({
  type: fc.constant(PacketType.PRODUCER_OPEN),
  handle,
  producerId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  confirmedSequence: fc.oneof(fc.constant(0), safe),
  digest: digestOrNull,
})

const producerOpened = fc.record(
  {
    type: fc.constant(PacketType.PRODUCER_OPENED),
    handle,
    reasonCode: producerReason('PRODUCER_OPENED'),
    epoch: fc.oneof(fc.constant(0), safe),
    sequence: fc.oneof(fc.constant(0), safe),
    digest: digestOrNull,
    incarnation: text,
    refusals,
    reasonString: text,
  },
  {
    requiredKeys: ['type', 'handle', 'reasonCode', 'epoch', 'sequence', 'digest', 'incarnation', 'refusals'],
  },
)

const produceMessage = fc.record({
  topicName: topic,
  payload: binary,
  qos: fc.constantFrom(1 as const, 2 as const),
  retain: fc.boolean(),
  properties: propertiesOrNull('PRODUCE'),
})

const produce = fc
  .record({
    type: fc.constant(PacketType.PRODUCE),
    handle,
    firstSequence: safe.map((sequence) => Math.min(sequence, Number.MAX_SAFE_INTEGER - 20)),
    confirmedSequence: fc.oneof(fc.constant(0), safe),
    isAtomic: fc.boolean(),
    messages: fc.array(produceMessage, { minLength: 1, maxLength: 20 }),
  })
  .map((packet) => ({
    ...packet,
    ...joinMessages(packet.messages.map((message) => encodeProduceMessage(message as ProduceMessage))),
  }))

const produced = fc.record(
  {
    type: fc.constant(PacketType.PRODUCED),
    handle,
    reasonCode: producerReason('PRODUCED'),
    sequence: fc.oneof(fc.constant(0), safe),
    digest: digestOrNull,
    refusals,
    reasonString: text,
  },
  { requiredKeys: ['type', 'handle', 'reasonCode', 'sequence', 'digest', 'refusals'] },
)

function userPropertiesRow(): PropertyRow {
  return PROPERTIES.find((row) => row.name === 'userProperties') as PropertyRow
}

/** The model's types are checked by the codec's round trip, not by the compiler: records are built from tables. */
export const packet = fc.oneof(
  connect,
  connack,
  publish,
  deliver,
  ack,
  subscribe,
  unsubscribe,
  filterAck,
  ping,
  disconnect,
  auth,
  producerOpen,
  producerOpened,
  produce,
  produced,
) as fc.Arbitrary<unknown> as fc.Arbitrary<Packet>

interface Step {
  /** What differs from the one before, beside its payload. */
  readonly change: 'nothing' | 'topic' | 'flags' | 'packetId' | 'deliverySequence' | 'messageId' | 'properties' | 'ping'
  readonly payload: Uint8Array
}

/** One behind the other: publications that mostly differ in their numbers only, and count up to where those wrap. */
export const neighbours: fc.Arbitrary<Packet[]> = fc
  .record({
    isDelivery: fc.boolean(),
    qos: fc.constantFrom(1 as const, 2 as const),
    firstPacketId: fc.constantFrom(1, 126, 254, 65_533),
    firstNumber: fc.constantFrom(1, 126, 65_534, 2 ** 32 - 2, Number.MAX_SAFE_INTEGER - 200),
    steps: fc.array(
      fc.record<Step>({
        change: fc.oneof(
          { arbitrary: fc.constant('nothing' as const), weight: 12 },
          fc.constantFrom('topic', 'flags', 'packetId', 'deliverySequence', 'messageId', 'properties', 'ping'),
        ),
        payload: fc.oneof(
          fc.uint8Array({ maxLength: 8 }),
          fc.constantFrom(255, 256, 1_024, 1_025).map((length) => new Uint8Array(length)),
        ),
      }),
      { minLength: 1, maxLength: 100 },
    ),
  })
  .map(({ isDelivery, qos, firstPacketId, firstNumber, steps }) => {
    let topicName = 'a'
    let retain = false
    let packetId = firstPacketId - 1
    let [deliverySequence, messageId] = [firstNumber - 1, firstNumber - 1]
    return steps.map(({ change, payload }): Packet => {
      if (change === 'ping') return { type: PacketType.PINGREQ }
      if (change === 'topic') topicName = topicName === 'a' ? 'b' : 'a'
      if (change === 'flags') retain = !retain
      packetId = ((packetId + (change === 'packetId' ? 1 : 0)) % 65_535) + 1
      deliverySequence += change === 'deliverySequence' ? 2 : 1
      messageId += change === 'messageId' ? 2 : 1
      const properties = change === 'properties' ? { contentType: 'x' } : null
      const fields = { topicName, payload, qos, retain, dup: false, packetId, properties }
      const own = isDelivery ? { deliverySequence, messageId } : {}
      return { type: PacketType.PUBLISH, ...fields, ...own }
    })
  })
