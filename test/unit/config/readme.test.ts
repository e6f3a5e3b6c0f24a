/** The README's table of options is the table of options. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { optionsTable } from '../../../src/config/options-table-text.js'

t.test('the README has every option as it is; `tallymq config table` writes the table', async (t) => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
  const [, table] = /<!-- options: [^>]* -->\n([\s\S]*?)<!-- end of options -->/.exec(readme) ?? []
  t.equal(table, optionsTable())
})
