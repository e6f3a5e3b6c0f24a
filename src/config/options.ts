/**
 * From an object somebody wrote to complete, checked, frozen options: `createBroker(parseOptions({ … }))`.
 * The rows are in `option-table.ts`, contradictions between them in `cross-field.ts`, files and the environment
 * in `load.ts`.
 */
import * as z from 'zod'
import { crossFieldProblems } from './cross-field.js'
import { type DeepReadonly, OPTIONS_SCHEMA, type Options, type OptionsInput } from './option-table.js'
import { OptionsError, type OptionsProblem, problemsFromIssues, unknownKeyProblems } from './problems.js'
import { type JsonSchemaNode, type OptionRow, rowsOf } from './rows.js'

export type { Options, OptionsInput } from './option-table.js'
export { OptionsError, type OptionsProblem } from './problems.js'

export const OPTIONS_JSON_SCHEMA = z.toJSONSchema(OPTIONS_SCHEMA, { io: 'input' }) as JsonSchemaNode
export const OPTION_ROWS: readonly OptionRow[] = rowsOf(OPTIONS_JSON_SCHEMA)

/** @throws OptionsError with every problem at once. */
export function parseOptions(input: OptionsInput | undefined = {}): Options {
  const result = OPTIONS_SCHEMA.safeParse(input, { reportInput: true })
  const problems: OptionsProblem[] = []
  if (!result.success) {
    problems.push(
      ...problemsFromIssues(result.error.issues, OPTIONS_JSON_SCHEMA),
      ...unknownKeyProblems(result.error.issues, OPTIONS_JSON_SCHEMA),
    )
  }
  problems.push(...crossFieldProblems(soundSections(input), input))
  if (!result.success || problems.length > 0) throw new OptionsError(problems)
  // A memory store has nothing to flush: the durability in force is said as it is.
  const durability = result.data.store === 'memory' ? 'memory' : result.data.durability
  return deepFreeze({ ...result.data, durability })
}

/** The sections that are right in themselves, so that contradictions between them are reported in the same run. */
function soundSections(input: unknown): Partial<Options> {
  const given = typeof input === 'object' && input !== null ? (input as Record<string, unknown>) : {}
  const sound: Record<string, unknown> = {}
  for (const [name, part] of Object.entries(OPTIONS_SCHEMA.shape)) {
    const result = (part as z.ZodType).safeParse(given[name])
    if (result.success) sound[name] = result.data
  }
  return sound as Partial<Options>
}

function deepFreeze<T>(value: T): DeepReadonly<T> {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part)
    Object.freeze(value)
  }
  return value as DeepReadonly<T>
}
