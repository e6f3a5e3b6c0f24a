/**
 * One rule of the broker broken, in a copy that is compiled for the occasion: while a program of the battery is
 * bundled, one text of one source file is replaced. The checkout is not touched.
 */
import { readFileSync } from 'node:fs'
import { build, type Plugin } from 'esbuild'

export interface SeededBug {
  /** What the broker does wrong, in words. */
  readonly name: string
  /** The rule that this breaks: one of `reliability`'s leaks, a statement of MQTT, a promise of ours. */
  readonly rule: string
  /** Below src/. */
  readonly file: string
  /** Stands there exactly once. */
  readonly from: string
  readonly to: string
}

/** @throws Error when the list no longer fits the source. */
export function faultySource(root: string, { name, file, from, to }: SeededBug): string {
  const pieces = readFileSync(`${root}/src/${file}`, 'utf8').split(from)
  if (pieces.length === 2) return pieces.join(to)
  throw new Error(`"${name}": its text stands ${pieces.length - 1} times in src/${file}, not once; correct the list`)
}

function planted(root: string, bug: SeededBug | null): Plugin[] {
  if (bug === null) return []
  const path = `${root}/src/${bug.file}`
  const filter = new RegExp(`${bug.file.replaceAll(/[.\\/]/g, '\\$&')}$`)
  return [
    {
      name: 'seeded-bug',
      setup({ onLoad }) {
        onLoad({ filter }, (found) =>
          found.path === path ? { contents: faultySource(root, bug), loader: 'ts' } : null,
        )
      },
    },
  ]
}

/** Programs of the battery with the bug in them; null: as they are. */
export async function buildPrograms(
  root: string,
  bug: SeededBug | null,
  programs: readonly string[],
  directory: string,
): Promise<void> {
  await build({
    entryPoints: programs.map((program) => `${root}/${program}`),
    plugins: planted(root, bug),
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outdir: directory,
    entryNames: '[name]',
    logLevel: 'error',
  })
}
