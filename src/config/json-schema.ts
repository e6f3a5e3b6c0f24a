/**
 * The schema published as `config/tallymq.schema.json`, for editors: the table's own, and where a file may write
 * `30s` or `2MiB` it says so. `npm run schema` writes it; a test holds it up to date.
 */
import { OPTIONS_JSON_SCHEMA } from './options.js'
import type { JsonSchemaNode } from './rows.js'
import { textPattern } from './units.js'

export function publishedSchema(): string {
  const schema = { ...published(OPTIONS_JSON_SCHEMA), title: 'TallyMQ broker configuration' }
  return `${JSON.stringify(schema, null, 2)}\n`
}

function published(node: JsonSchemaNode): Record<string, unknown> {
  const { unit, allowed, secret, properties, items, anyOf, ...rest } = node
  return {
    ...rest,
    ...(unit === undefined ? {} : { type: ['integer', 'string'], pattern: textPattern(unit) }),
    ...(properties === undefined ? {} : { properties: mapValues(properties) }),
    ...(items === undefined ? {} : { items: published(items) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(published) }),
  }
}

function mapValues(properties: { readonly [name: string]: JsonSchemaNode }): Record<string, unknown> {
  return Object.fromEntries(Object.entries(properties).map(([name, node]) => [name, published(node)]))
}
