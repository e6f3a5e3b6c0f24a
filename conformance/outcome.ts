/** How a case ends: it returns, it fails with a sentence, or it says that there is nothing to test on this broker. */

export class CaseFailure extends Error {}

export class Vacuous extends Error {}

export function expect(isSo: boolean, otherwise: string): asserts isSo {
  if (!isSo) throw new CaseFailure(otherwise)
}

export function expectSame(found: unknown, wanted: unknown, what: string): void {
  const [have, want] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (have !== want) throw new CaseFailure(`${what}: ${have}, not ${want}`)
}

export function vacuous(reason: string): never {
  throw new Vacuous(reason)
}
