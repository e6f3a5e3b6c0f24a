/**
 * What is on the disk agrees with itself, after every crash and at the end: references are copies, every row is spoken
 * of, every account's sums come out. The auditor's own code is the judge, on the image that a broker would start from.
 */
import { verifyStore } from '../../../src/audit/verify-store.js'
import type { Store } from '../../../src/core/ports/store.js'

const PROBLEMS_MAX = 5

export function ledgerAgrees(image: Store): string[] {
  const { problems } = verifyStore(image, { problemsMax: PROBLEMS_MAX })
  return problems.map(({ kind, table, key, record, sentence }) => {
    const where = [table, key, record].filter((part) => part !== null).join(' ')
    return `${kind} ${where}: ${sentence}`
  })
}
