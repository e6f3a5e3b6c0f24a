/**
 * What is wrong with an options object, said so that it can be put right: the path, what was given, what is allowed,
 * and for an unknown key the one that was probably meant. Secrets are never repeated.
 */
import type { $ZodIssue } from 'zod/v4/core'
import { allowedText, type JsonSchemaNode, nodeAt, rowsOf } from './rows.js'

export interface OptionsProblem {
  /** `limits.queueFull`, `access.rules[3].action`. */
  readonly path: string
  readonly message: string
}

export class OptionsError extends Error {
  override readonly name = 'OptionsError'
  readonly code = 'OPTIONS_INVALID'
  readonly problems: readonly OptionsProblem[]
  constructor(problems: readonly OptionsProblem[]) {
    const lines = problems.map((problem) => `  ${problem.path}: ${problem.message}`)
    super(`${problems.length === 1 ? 'One option is' : `${problems.length} options are`} wrong:\n${lines.join('\n')}`)
    this.problems = problems
  }
}

export function problemsFromIssues(issues: readonly $ZodIssue[], schema: JsonSchemaNode): OptionsProblem[] {
  const problems = new Map<string, OptionsProblem>()
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') continue
    const path = pathText(issue.path)
    const node = nodeAt(schema, issue.path) ?? {}
    const message = `${givenText(issue.input, isSecret(schema, issue.path))} was given; allowed: ${allowedText(node)}`
    // One line per place, however many checks the same value fails.
    problems.set(path, { path, message })
  }
  return [...problems.values()]
}

export function unknownKeyProblems(issues: readonly $ZodIssue[], schema: JsonSchemaNode): OptionsProblem[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return []
    const siblings = Object.keys(nodeAt(schema, issue.path)?.properties ?? {})
    return issue.keys.map((key) => ({
      path: pathText([...issue.path, key]),
      message: `there is no such option${suggestion(key, siblings, issue.path, schema)}`,
    }))
  })
}

function suggestion(
  key: string,
  siblings: readonly string[],
  parent: readonly PropertyKey[],
  schema: JsonSchemaNode,
): string {
  const near = nearest(key, siblings)
  if (near !== undefined) return `; did you mean '${pathText([...parent, near])}'?`
  // Right word, wrong section.
  const elsewhere = rowsOf(schema).find((row) => nearest(key, [row.path.at(-1) as string]) !== undefined)
  if (elsewhere !== undefined) return `; did you mean '${elsewhere.name}'?`
  return `; known here: ${siblings.join(', ')}`
}

/** The candidate that was begun, or that is within a third of its length of what was written; if there is one. */
export function nearest(written: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const plain = written.toLowerCase().replaceAll(/[-_]/g, '')
    const begun = plain.length >= 4 && candidate.toLowerCase().startsWith(plain)
    const distance = begun ? 0 : editDistance(plain, candidate.toLowerCase())
    if (distance <= Math.max(1, Math.floor(candidate.length / 3)) && distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance(left: string, right: string): number {
  // Keys come from a file somebody wrote; a long one is not near anything.
  if (Math.abs(left.length - right.length) > 16) return Number.POSITIVE_INFINITY
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= right.length; column += 1) {
      const change = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1)
      current.push(Math.min(change, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    previous = current
  }
  return previous[right.length] ?? 0
}

function pathText(path: readonly PropertyKey[]): string {
  if (path.length === 0) return '(everything)'
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : (index > 0 ? '.' : '') + String(step)))
    .join('')
}

function isSecret(schema: JsonSchemaNode, path: readonly PropertyKey[]): boolean {
  return path.some((_, index) => nodeAt(schema, path.slice(0, index + 1))?.secret === true) || path[1] === 'users'
}

const GIVEN_CHARACTERS_MAX = 60

function givenText(value: unknown, secret: boolean): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a section'
  if (secret) return 'something else (not shown)'
  const text = typeof value === 'string' ? `'${value}'` : String(value)
  return text.length <= GIVEN_CHARACTERS_MAX ? text : `${text.slice(0, GIVEN_CHARACTERS_MAX)}…`
}
