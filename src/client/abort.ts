/** AbortSignal in two calls: the error it means, and a listener that can be taken back. */
import { TallyError } from './tally-error.js'

export function abortError(signal: AbortSignal): TallyError {
  return new TallyError('ABORTED', 'the AbortSignal of the call fired', { cause: signal.reason })
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

/** @returns a function that removes the listener; call it when the wait is over. */
export function onAbort(signal: AbortSignal | undefined, abandon: (error: TallyError) => void): () => void {
  if (signal === undefined) return () => {}
  const listener = () => abandon(abortError(signal))
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}

/** The promise, or the end of waiting for it. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const stopListening = onAbort(signal, reject)
    promise.then(resolve, reject).finally(stopListening)
  })
}
