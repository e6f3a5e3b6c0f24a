/**
 * The options as flat rows, read from the JSON schema of the table in `options.ts`: for error messages, the README,
 * environment variables and the published schema. Knows no single option.
 */

export interface JsonSchemaNode {
  readonly type?: string
  readonly properties?: { readonly [name: string]: JsonSchemaNode }
  readonly items?: JsonSchemaNode
  readonly anyOf?: readonly JsonSchemaNode[]
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly default?: unknown
  readonly description?: string
  /** What the number counts; files and the environment may then write `30s` or `2MiB`. */
  readonly unit?: 'ms' | 's' | 'bytes'
  /** Said instead of what the schema alone would say. */
  readonly allowed?: string
  /** Never shown in a message. */
  readonly secret?: boolean
}

export interface OptionRow {
  /** `listen.httpPort`. */
  readonly name: string
  readonly path: readonly string[]
  /** `TALLYMQ_LISTEN__HTTP_PORT`. */
  readonly environmentName: string
  readonly type: 'integer' | 'boolean' | 'string' | 'array'
  readonly unit: 'ms' | 's' | 'bytes' | undefined
  /** A sentence part: `a whole number from 1 to 65535`. */
  readonly allowed: string
  readonly default: unknown
  readonly sentence: string
}

export const ENVIRONMENT_PREFIX = 'TALLYMQ_'

export function rowsOf(node: JsonSchemaNode, path: readonly string[] = []): OptionRow[] {
  if (node.properties !== undefined) {
    return Object.entries(node.properties).flatMap(([name, child]) => rowsOf(child, [...path, name]))
  }
  const value = valueNode(node)
  return [
    {
      name: path.join('.'),
      path,
      environmentName: ENVIRONMENT_PREFIX + path.map(upperSnake).join('__'),
      type: value.type as OptionRow['type'],
      unit: node.unit,
      allowed: allowedText(node),
      default: node.default,
      sentence: node.description ?? '',
    },
  ]
}

/** The node at a path of names and list positions, if the schema has one. */
export function nodeAt(root: JsonSchemaNode, path: readonly PropertyKey[]): JsonSchemaNode | undefined {
  let node: JsonSchemaNode | undefined = root
  for (const step of path) {
    const value: JsonSchemaNode = valueNode(node)
    if (typeof step === 'number') node = value.items
    else node = Object.hasOwn(value.properties ?? {}, step) ? value.properties?.[String(step)] : undefined
    if (node === undefined) return undefined
  }
  return node
}

/** What may stand there, as the end of a sentence. */
export function allowedText(node: JsonSchemaNode): string {
  if (node.anyOf !== undefined) return `${allowedText(valueNode(node))} or null`
  if (node.allowed !== undefined) return node.allowed
  if (node.enum !== undefined) return node.enum.map((word) => `'${word}'`).join(', ')
  if (node.type === 'integer') return `a whole number from ${node.minimum} to ${node.maximum}${unitText(node)}`
  if (node.type === 'boolean') return 'true or false'
  if (node.type === 'array') return `a list${node.items?.allowed === undefined ? '' : `, each ${node.items.allowed}`}`
  if (node.type === 'object') return `a section with ${Object.keys(node.properties ?? {}).join(', ')}`
  return 'text'
}

function valueNode(node: JsonSchemaNode): JsonSchemaNode {
  return node.anyOf?.find((choice) => choice.type !== 'null') ?? node
}

function unitText(node: JsonSchemaNode): string {
  if (node.unit === undefined) return ''
  return { ms: ' (milliseconds)', s: ' (seconds)', bytes: ' (bytes)' }[node.unit]
}

function upperSnake(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()
}
