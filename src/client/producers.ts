/**
 * The producers of one client: opens them, gives each connection to them, and hands them what the broker answers. What
 * a producer is, is in `producer.ts`.
 */
import type { Timers } from '../base/clock.js'
import { type ProducedPacket, type ProducerOpenedPacket, PacketType } from '../protocol/packets.js'
import { PRODUCER_HANDLE_MAX, PRODUCER_ID_BYTES } from '../protocol/msgpack/produce.js'
import { onAbort, throwIfAborted } from './abort.js'
import type { ProducedResult, Producer, ProducerMessage, ProducerMessageOptions, ProducerOptions } from './api.js'
import { within } from './connect-options.js'
import { type Deferred, deferred } from './deferred.js'
import { refusalError } from './producer-errors.js'
import { prepareBatch, prepareMessage } from './producer-message.js'
import type { PreparedMessage } from './producer-outbox.js'
import { ProducerProgress } from './producer-progress.js'
import { type ProducerLink, ProducerStream } from './producer.js'
import { TallyError } from './tally-error.js'

const DAY_MS = 86_400_000

export class Producers {
  readonly #timers: Timers
  readonly #report: (error: TallyError) => void
  readonly #byHandle = new Map<number, LiveProducer>()
  #lastHandle = 0
  #link: ProducerLink | null = null
  #maximumPacketSize = Number.POSITIVE_INFINITY
  #end: TallyError | null = null

  constructor(timers: Timers, report: (error: TallyError) => void) {
    this.#timers = timers
    this.#report = report
  }

  async open(options: ProducerOptions): Promise<Producer> {
    const { signal } = options
    throwIfAborted(signal)
    const { progress, lastSequence } = await loadOutbox(options)
    throwIfAborted(signal)
    if (this.#end !== null) throw this.#end
    const handle = this.#takeHandle()
    const producer = new LiveProducer(options, {
      handle,
      progress,
      lastSequence,
      timers: this.#timers,
      report: this.#report,
      closed: () => this.#byHandle.delete(handle),
    })
    this.#byHandle.set(handle, producer)
    if (this.#link !== null) producer.stream.connected(this.#link, this.#maximumPacketSize)
    const stopListening = onAbort(signal, (error) => producer.stream.end(error))
    await producer.opened.finally(stopListening)
    return producer
  }

  connected(link: ProducerLink, maximumPacketSize = Number.POSITIVE_INFINITY): void {
    this.#link = link
    this.#maximumPacketSize = maximumPacketSize
    for (const { stream } of [...this.#byHandle.values()]) stream.connected(link, maximumPacketSize)
  }

  disconnected(): void {
    this.#link = null
    for (const { stream } of this.#byHandle.values()) stream.disconnected()
  }

  pump(): void {
    for (const { stream } of [...this.#byHandle.values()]) stream.pump()
  }

  receive(packet: ProducerOpenedPacket | ProducedPacket): void {
    // One that was closed meanwhile may still be answered.
    const producer = this.#byHandle.get(packet.handle)
    if (producer === undefined) return
    if (packet.type === PacketType.PRODUCED) producer.stream.receiveProduced(packet)
    else producer.stream.receiveOpened(packet)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byHandle.values()].map((producer) => producer.close()))
  }

  stop(error: TallyError): void {
    this.#end = error
    for (const { stream } of [...this.#byHandle.values()]) stream.end(error)
  }

  /** One that was used on this connection still stands for its producer in the broker. */
  #takeHandle(): number {
    for (let tries = 0; tries < PRODUCER_HANDLE_MAX; tries += 1) {
      this.#lastHandle = this.#lastHandle === PRODUCER_HANDLE_MAX ? 1 : this.#lastHandle + 1
      if (!this.#byHandle.has(this.#lastHandle)) return this.#lastHandle
    }
    throw new TallyError('INVALID_ARGUMENT', `a client has at most ${PRODUCER_HANDLE_MAX} producers`)
  }
}

async function loadOutbox({ outbox }: ProducerOptions): Promise<{ progress: ProducerProgress; lastSequence: number }> {
  try {
    const record = await outbox.load()
    if (record !== null) return { progress: ProducerProgress.decode(record), lastSequence: await outbox.lastSequence() }
    const progress = ProducerProgress.create(globalThis.crypto.getRandomValues(new Uint8Array(PRODUCER_ID_BYTES)))
    const first = progress.snapshot(0, 0).record
    const lastSequence = await outbox.commit({ append: [], record: first, forgetSequence: 0, refusals: [] })
    return { progress, lastSequence }
  } catch (cause) {
    throw new TallyError('OUTBOX_FAILED', 'the outbox of the producer could not be read', { cause })
  }
}

class LiveProducer implements Producer {
  readonly producerId: string
  readonly stream: ProducerStream
  /** Settles when the broker has accepted it for the first time. */
  readonly opened: Promise<void>
  readonly #opened: Deferred<void>
  readonly #progress: ProducerProgress
  readonly #publishQueueMessagesMax: number
  #closing: Promise<void> | null = null

  constructor(
    options: ProducerOptions,
    settings: {
      readonly handle: number
      readonly progress: ProducerProgress
      readonly lastSequence: number
      readonly timers: Timers
      readonly report: (error: TallyError) => void
      readonly closed: () => void
    },
  ) {
    const { progress, lastSequence, timers, handle } = settings
    this.producerId = Array.from(progress.producerId, (byte) => byte.toString(16).padStart(2, '0')).join('')
    this.#progress = progress
    this.#opened = deferred()
    this.opened = this.#opened.promise
    // Whoever opens it hears of a failure there; afterwards nobody looks at it any more.
    this.opened.catch(() => {})
    this.#publishQueueMessagesMax = within(
      'publishQueueMessagesMax',
      options.publishQueueMessagesMax ?? 100_000,
      1,
      2 ** 31,
    )
    this.stream = new ProducerStream(
      {
        outbox: options.outbox,
        timers,
        handle,
        ackedRowsKeptMs: within('ackedRowsKeptMs', options.ackedRowsKeptMs ?? DAY_MS, 0, 3_650 * DAY_MS),
        windowMessagesMax: within('windowMessagesMax', options.windowMessagesMax ?? 8_192, 1, 1_000_000),
        windowBytesMax: within('windowBytesMax', options.windowBytesMax ?? 4_194_304, 1, 2 ** 31),
        refused: (refusal, isAwaited) => {
          if (options.onRefused !== undefined) options.onRefused(refusal)
          else if (!isAwaited) settings.report(refusalError(refusal))
        },
        report: settings.report,
        opened: () => this.#opened.resolve(),
        ended: (error) => {
          this.#opened.reject(error)
          settings.closed()
        },
      },
      progress,
      lastSequence,
    )
  }

  get lastSequence(): number {
    return this.stream.log.lastSequence
  }

  get answeredSequence(): number {
    return this.#progress.answered
  }

  get failure(): TallyError | null {
    return this.stream.failure
  }

  async publish(
    topicName: string,
    payload: Uint8Array | string,
    options: ProducerMessageOptions = {},
  ): Promise<ProducedResult> {
    return this.#publish([prepareMessage(topicName, payload, options)])
  }

  async publishBatch(messages: readonly ProducerMessage[]): Promise<ProducedResult> {
    return this.#publish(prepareBatch(messages))
  }

  async stored(): Promise<void> {
    this.#checkAlive()
    await this.stream.log.stored()
  }

  async flush(): Promise<void> {
    this.#checkAlive()
    try {
      await this.stream.log.found()
    } catch (cause) {
      throw new TallyError('OUTBOX_FAILED', 'the outbox could not be read', { cause })
    }
    this.stream.pump()
    await this.stream.log.allAnswered()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    if (this.failure !== null) return
    this.stream.disconnected()
    // What fails here has ended the producer, which is all that is wanted.
    await this.stream.log.saved().catch(() => {})
    this.stream.end(new TallyError('CLOSED', 'the producer has been closed'))
  }

  #publish(messages: readonly PreparedMessage[]): Promise<ProducedResult> {
    this.#checkAlive()
    this.stream.checkSize(messages)
    const { log } = this.stream
    const unfinished = log.unfinishedMessages
    if (unfinished > 0 && unfinished + messages.length > this.#publishQueueMessagesMax) {
      const text = `${unfinished} messages of this producer are unanswered; wait for some of them`
      throw new TallyError('OUTBOX_FULL', text, { retryable: true })
    }
    return log.publish(messages)
  }

  #checkAlive(): void {
    if (this.failure !== null) throw this.failure
    if (this.#closing !== null) throw new TallyError('CLOSED', 'the producer has been closed')
  }
}
