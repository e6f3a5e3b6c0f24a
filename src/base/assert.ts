/** Assertions stay on in production: a broken invariant stops the process before it can acknowledge anything. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
  readonly code = 'ASSERTION'
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** For the default branch of a switch over a union: the compiler proves that it cannot be reached. */
export function unreachable(value: never, message: string): never {
  throw new AssertionError(`${message}: ${String(value)}`)
}
