/** The options as the table in the README, from the rows themselves. A test holds the README to it. */
import { OPTION_ROWS } from './options.js'

export function optionsTable(): string {
  const lines = OPTION_ROWS.map((row) => {
    const value =
      row.default === null || typeof row.default !== 'object' ? String(row.default) : JSON.stringify(row.default)
    const allowed = row.allowed.replaceAll('|', '\\|')
    return `| \`${row.name}\` | \`${value}\` | ${allowed} | ${row.sentence.replaceAll('|', '\\|')} |`
  })
  return ['| Option | Default | Allowed | What it does |', '| --- | --- | --- | --- |', ...lines, ''].join('\n')
}
