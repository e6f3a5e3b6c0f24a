/**
 * The consumer's half of exactly once: how far the application's own transactions are in the delivery sequence of its
 * session. Decides for each delivery whether it is the next one, one that has been handled, or one behind a loss. Pure;
 * what follows from it is `incoming.ts`.
 */
import type { DeliveryCursor } from '../protocol/packets.js'
import { TallyError } from './tally-error.js'

export class CursorCheck {
  /** 0: not known before the first CONNACK. */
  #sessionNumber: number
  /** The application has handled everything up to it. */
  #handled: number
  /** The highest that came, or was handled by an earlier process. */
  #received: number
  /** Handled, with something before it that is not. */
  readonly #ahead = new Set<number>()

  /** @param cursor null: nothing has been handled yet. */
  constructor(cursor: DeliveryCursor | null) {
    this.#sessionNumber = cursor?.sessionNumber ?? 0
    this.#handled = cursor?.deliverySequence ?? 0
    this.#received = this.#handled
  }

  /** For CONNECT. null: there is none yet. */
  get cursor(): DeliveryCursor | null {
    if (this.#sessionNumber === 0) return null
    return { sessionNumber: this.#sessionNumber, deliverySequence: this.#handled }
  }

  /** @returns why it must end here, or null. */
  connected(sessionNumber: number | undefined): TallyError | null {
    if (sessionNumber === undefined) {
      return new TallyError('PROTOCOL_ERROR', 'the broker does not name its session, so a cursor means nothing to it')
    }
    if (this.#sessionNumber === 0) this.#sessionNumber = sessionNumber
    if (this.#sessionNumber === sessionNumber) return null
    const sessions = `the cursor is of session ${this.#sessionNumber}, the broker has session ${sessionNumber}`
    return new TallyError('SESSION_REPLACED', `${sessions}: what the old one held is gone`)
  }

  /** @returns whether it is the application's, or has been handled; an error when something before it is missing. */
  receive(deliverySequence: number): 'new' | 'again' | 'handled' | TallyError {
    if (deliverySequence <= this.#handled || this.#ahead.has(deliverySequence)) return 'handled'
    if (deliverySequence <= this.#received) return 'again'
    if (deliverySequence > this.#received + 1) {
      const missing = `delivery ${this.#received + 1} is missing, ${deliverySequence} came`
      return new TallyError('DELIVERY_GAP', `${missing}; nothing is handed over any more`)
    }
    this.#received = deliverySequence
    return 'new'
  }

  /** The application is done with it. */
  handled(deliverySequence: number): void {
    if (deliverySequence !== this.#handled + 1) {
      if (deliverySequence > this.#handled) this.#ahead.add(deliverySequence)
      return
    }
    this.#handled = deliverySequence
    while (this.#ahead.delete(this.#handled + 1)) this.#handled += 1
  }
}
