/** The browser entry as a page would get it: bundled, without anything of Node, and not larger than it has to be. */
import { gzipSync } from 'node:zlib'
import { type BuildOptions, build } from 'esbuild'
import t from 'tap'

const ENTRY = 'src/client/browser.ts'
/** gzip, KiB; what the entry loads at once. MQTT and producers come in chunks of their own when they are asked for. */
const OWN_KIB_MAX = 30
const WHOLE_KIB_MAX = 42

t.test('our own code uses neither node: modules nor require, and Buffer only where it is looked for', async (t) => {
  const { text, kib } = await bundled({ external: ['msgpackr'] })
  t.notMatch(text, /["'`]node:/)
  t.notMatch(text, /\brequire\s*\(/)
  t.notMatch(text, /\bprocess\./)
  t.same(text.match(/[\w.]*\bBuffer\b/g), ['globalThis.Buffer'], 'the fast path of base/utf8.ts')
  t.comment(`without msgpackr: ${kib.toFixed(1)} KiB gzip`)
  t.ok(kib < OWN_KIB_MAX)
})

t.test('with msgpackr it is one file without node: modules', async (t) => {
  const { text, kib } = await bundled({})
  t.notMatch(text, /["'`]node:/)
  t.notMatch(text, /\brequire\s*\(/)
  t.comment(`with msgpackr: ${kib.toFixed(1)} KiB gzip`)
  t.ok(kib < WHOLE_KIB_MAX)
})

/** Everything that is loaded with the entry: its own file and the chunks it imports statically. */
async function bundled(options: BuildOptions): Promise<{ text: string; kib: number }> {
  const { outputFiles = [], metafile = { inputs: {}, outputs: {} } } = await build({
    entryPoints: [ENTRY],
    outdir: 'out',
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
    ...options,
  })
  const outputs = Object.entries(metafile.outputs)
  const entry = outputs.find(([, output]) => output.entryPoint === ENTRY)
  const loaded = new Set([entry?.[0], ...(entry?.[1].imports ?? []).filter(isStatic).map((each) => each.path)])
  const texts = outputFiles.filter(({ path }) => [...loaded].some((each) => each && path.endsWith(each)))
  const text = texts.map((file) => file.text).join('\n')
  return { text, kib: gzipSync(text, { level: 9 }).length / 1024 }
}

function isStatic(imported: { kind: string; external?: boolean }): boolean {
  return imported.kind === 'import-statement' && imported.external !== true
}
