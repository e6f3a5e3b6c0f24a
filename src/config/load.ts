/**
 * Where options come from: flags over environment over file over defaults, joined and handed to `parseOptions` once,
 * so that everything wrong is said together and with its source. The environment is passed in; a file is YAML or JSON.
 *
 * `TALLYMQ_LISTEN__HTTP_PORT=0` sets `listen.httpPort`; `TALLYMQ_ACCESS__USERS_FILE=/run/secrets/users` reads the
 * value from that file, the way container secrets are mounted.
 */
import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Document, parseDocument } from 'yaml'
import {
  OPTION_ROWS,
  type Options,
  OptionsError,
  type OptionsInput,
  type OptionsProblem,
  parseOptions,
} from './options.js'
import { nearest } from './problems.js'
import { ENVIRONMENT_PREFIX, type OptionRow } from './rows.js'
import { numberFromText } from './units.js'

export interface OptionSources {
  /** Path of a YAML or JSON file. */
  readonly file?: string | undefined
  readonly environment?: { readonly [name: string]: string | undefined }
  readonly flags?: OptionsInput
}

type Tree = { [name: string]: unknown }

const FILE_BYTES_MAX = 16 * 1_048_576

/** Loaded when there is something to parse: a start with flags alone need not wait 30 ms for it. */
function yaml(): { readonly parseDocument: typeof parseDocument } {
  return createRequire(import.meta.url)('yaml')
}

/** @throws OptionsError naming every problem and where it was written. */
export function loadOptions(sources: OptionSources): Options {
  const problems: OptionsProblem[] = []
  const written = new Map<string, string>()
  const tree: Tree = Object.create(null)
  if (sources.file !== undefined) mergeFile(sources.file, tree, written, problems)
  for (const { row, value, name } of fromEnvironment(sources.environment ?? {}, problems)) {
    setAt(tree, row.path, value)
    written.set(row.name, name)
  }
  mergeFlags(tree, sources.flags ?? {}, [], written)
  let options: Options | undefined
  try {
    options = parseOptions(tree as OptionsInput)
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    problems.push(...error.problems.map((problem) => locate(problem, written, sources.file)))
  }
  if (options === undefined || problems.length > 0) throw new OptionsError(problems)
  return options
}

function mergeFile(file: string, tree: Tree, written: Map<string, string>, problems: OptionsProblem[]): void {
  const text = readText(file, `--config ${file}`, problems)
  if (text === undefined) return
  // No alias at all: a configuration needs none, and a small file could otherwise unfold into gigabytes.
  const document: Document = yaml().parseDocument(text, { uniqueKeys: true, strict: true, prettyErrors: true })
  const complaints = [...document.errors, ...document.warnings]
  let content: unknown
  try {
    content = complaints.length === 0 ? document.toJS({ maxAliasCount: 0 }) : null
  } catch {
    problems.push({
      path: file,
      message: 'uses an anchor or alias (& or *), which is not allowed; write the value twice',
    })
    return
  }
  for (const complaint of complaints) {
    problems.push({ path: file, message: firstLine(complaint.message) })
  }
  if (complaints.length > 0 || content === null) return
  if (typeof content !== 'object' || Array.isArray(content)) {
    problems.push({ path: file, message: 'must hold sections with options, such as `listen:`' })
    return
  }
  Object.assign(tree, content)
  for (const row of OPTION_ROWS) {
    const value = getAt(tree, row.path)
    if (value === undefined) continue
    written.set(row.name, file)
    if (row.unit !== undefined && typeof value === 'string') {
      setAt(tree, row.path, numberFromText(value, row.unit) ?? value)
    }
  }
}

function* fromEnvironment(
  environment: { readonly [name: string]: string | undefined },
  problems: OptionsProblem[],
): Generator<{ row: OptionRow; value: unknown; name: string }> {
  const rows = new Map(OPTION_ROWS.map((row) => [row.environmentName, row]))
  for (const name of Object.keys(environment).sort()) {
    const text = environment[name]
    if (!name.startsWith(ENVIRONMENT_PREFIX) || text === undefined) continue
    const fromFile = !rows.has(name) && name.endsWith('_FILE')
    const row = rows.get(fromFile ? name.slice(0, -'_FILE'.length) : name)
    if (row === undefined) {
      // Without a section it may be somebody else's: orchestrators add TALLYMQ_PORT and the like for a service's name.
      if (!name.includes('__')) continue
      const near = nearest(
        name,
        [...rows.keys()].map((known) => known.replaceAll('_', '')),
      )
      const meant = [...rows.keys()].find((known) => known.replaceAll('_', '') === near)
      const hint = meant === undefined ? '' : `; did you mean ${meant}?`
      problems.push({ path: name, message: `there is no such option${hint}` })
      continue
    }
    if (fromFile && environment[row.environmentName] !== undefined) {
      problems.push({ path: name, message: `${row.environmentName} is set as well; set one of the two` })
      continue
    }
    const content = fromFile ? readText(text, name, problems)?.trim() : text
    if (content !== undefined) yield { row, value: valueFromText(content, row), name }
  }
}

/** A text that does not fit stays a text; `parseOptions` then says what is allowed. */
function valueFromText(text: string, row: OptionRow): unknown {
  if (row.type === 'string') return text
  if (row.unit !== undefined) {
    const value = numberFromText(text, row.unit)
    if (value !== undefined) return value
  }
  const document = yaml().parseDocument(text, { uniqueKeys: true, strict: true })
  if (document.errors.length > 0) return text
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch {
    return text
  }
}

function readText(file: string, source: string, problems: OptionsProblem[]): string | undefined {
  try {
    if (statSync(file).size <= FILE_BYTES_MAX) return readFileSync(file, 'utf8')
    problems.push({ path: source, message: `the file is larger than ${FILE_BYTES_MAX} bytes` })
  } catch (error) {
    problems.push({ path: source, message: `the file cannot be read (${(error as NodeJS.ErrnoException).code})` })
  }
  return undefined
}

function mergeFlags(tree: Tree, flags: object, path: readonly string[], written: Map<string, string>): void {
  for (const [name, value] of Object.entries(flags)) {
    const here = [...path, name]
    if (value === undefined) continue
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) mergeFlags(tree, value, here, written)
    else {
      setAt(tree, here, value)
      written.set(here.join('.'), 'the command line')
    }
  }
}

function getAt(tree: Tree, path: readonly string[]): unknown {
  let value: unknown = tree
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Tree)[step]
  }
  return value
}

/** A section that the file filled with something else gives way: the stronger source is heard. */
function setAt(tree: Tree, path: readonly string[], value: unknown): void {
  let node = tree
  for (const step of path.slice(0, -1)) {
    const child = Object.hasOwn(node, step) ? node[step] : undefined
    const section: Tree =
      typeof child === 'object' && child !== null && !Array.isArray(child) ? (child as Tree) : Object.create(null)
    node[step] = section
    node = section
  }
  node[path.at(-1) as string] = value
}

function locate(problem: OptionsProblem, written: ReadonlyMap<string, string>, file?: string): OptionsProblem {
  const row = OPTION_ROWS.find((known) => problem.path === known.name || problem.path.startsWith(`${known.name}[`))
  const source = row === undefined ? file : written.get(row.name)
  return source === undefined ? problem : { ...problem, message: `${problem.message} (in ${source})` }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] as string
}
