/**
 * The style guide that runs. Every message says what to do instead of what was found. Where a rule needs an exception,
 * the exception is a line in a table here, with its reason beside it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import ts from 'typescript'

const ROOT = new URL('../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
const files = (folder: string, ending: RegExp): string[] =>
  readdirSync(new URL(`${folder}/`, ROOT), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(ROOT.pathname.length).replaceAll('//', '/'))
    .sort()

interface SourceFile {
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
}
const parse = (path: string): SourceFile => {
  const text = read(path)
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true) }
}

const sources = files('src', /\.ts$/).map(parse)
const tests = files('test', /\.ts$/).map(parse)
const conformance = files('conformance', /\.ts$/).map(parse)
const everything = [...sources, ...tests, ...conformance]

/** What each folder may import from the others; type imports count. A path instead of a folder: that file only. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocol: ['base'],
  core: ['protocol', 'base'],
  audit: ['core', 'protocol', 'base'],
  server: ['core', 'protocol', 'base'],
  storage: ['core/ports', 'core/limits', 'protocol', 'base'],
  transport: ['core/ports', 'core/limits', 'protocol', 'base'],
  auth: ['core/ports', 'core/limits', 'protocol', 'base'],
  telemetry: ['core/ports', 'core/limits', 'protocol', 'base'],
  config: ['core/limits', 'protocol', 'base'],
  client: ['protocol', 'base'],
  // Processes that prove a broker from outside: they know its protocols, never its inside.
  torture: ['client', 'protocol', 'base'],
  cli: ['client', 'config', 'torture', 'index'],
  // The composition root and the public exports see everything.
  main: ['audit', 'config', 'server', 'storage', 'transport', 'auth', 'telemetry', 'core', 'protocol', 'base', 'main'],
  index: ['main', 'audit', 'config', 'client', 'server', 'core', 'protocol', 'base'],
}

/** Which part of the source a package may be used in: elsewhere it would leak into everything. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  '@noble/hashes': ['base/sha256.ts'],
  ws: ['transport/', 'client/node-websocket.ts'],
  lmdb: ['storage/lmdb/', 'client/outbox-lmdb.ts', 'client/producer-outbox-lmdb.ts'],
  msgpackr: ['protocol/msgpack/'],
  pino: ['telemetry/'],
  zod: ['config/'],
  yaml: ['config/'],
  commander: ['cli/'],
}

const NODE_FREE = ['base/', 'protocol/', 'core/', 'audit/']
/** The browser build of the SDK holds every other file of client/. */
const CLIENT_ON_NODE = [
  'client/index.ts',
  'client/node-tcp.ts',
  'client/node-websocket.ts',
  'client/outbox-lmdb.ts',
  'client/producer-outbox-lmdb.ts',
]

/** What may be called or read in the named places only, and what to use instead. */
const RESTRICTED: readonly { what: string; where: readonly string[]; instead: string }[] = [
  { what: 'Date.now', where: [], instead: 'take a Clock (base/clock.ts)' },
  { what: 'new Date()', where: ['cli/console.ts'], instead: 'take a Clock, or Console.now in cli/' },
  { what: 'performance.now', where: ['server/system-clock.ts', 'client/clock.ts'], instead: 'take a Clock' },
  {
    what: 'setTimeout',
    where: ['server/system-clock.ts', 'client/clock.ts', 'cli/console.ts'],
    instead: 'take Timers (base/clock.ts), or Console.after in cli/',
  },
  { what: 'setInterval', where: [], instead: 'take Timers and arm again; an interval never notices that it is late' },
  { what: 'setImmediate', where: ['main.ts'], instead: 'take `defer`, as server/turn.ts does' },
  { what: 'Math.random', where: ['client/clock.ts'], instead: 'take a random source, or node:crypto for ids' },
  { what: 'process.env', where: ['cli/console.ts'], instead: 'take the environment, as config/load.ts does' },
  { what: 'process.exit', where: ['cli/main.ts', 'cli/console.ts'], instead: 'throw, or return an exit code' },
  { what: 'console.log', where: [], instead: 'emit an event (core/ports/events.ts)' },
]

const ENTRIES = [
  'src/index.ts',
  'src/main.ts',
  'src/cli/main.ts',
  'src/client/index.ts',
  'src/client/browser.ts',
  'src/torture/worker.ts',
]

const LINE_COLUMNS_MAX = 120
const FUNCTION_LINES_MAX = 70
/** A file may be longer when its header says why it is one. */
const FILE_LINES_MAX = 600

const inSource = (path: string) => path.replace(/^src\//, '')
const isUnder = (path: string, places: readonly string[]) => places.some((place) => inSource(path).startsWith(place))

function importsOf(tree: ts.SourceFile): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      found.push((node.moduleSpecifier as ts.StringLiteral).text)
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      found.push((node.argument.literal as ts.StringLiteral).text)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments
      if (argument !== undefined && ts.isStringLiteral(argument)) found.push(argument.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

/** `../core/limits.js` from `src/config/x.ts` → `core/limits`. */
function resolved(from: string, specifier: string): string {
  const url = new URL(specifier, `file:///${from}`)
  return inSource(url.pathname.slice(1)).replace(/\.js$/, '')
}

const folderOf = (path: string) => inSource(path).replace(/\.ts$/, '').split('/')[0] as string

function none(
  t: { equal(found: number, wanted: number, name: string, extra: object): boolean },
  problems: readonly string[],
  name: string,
): void {
  t.equal(problems.length, 0, name, { problems: problems.slice(0, 60) })
}

t.test('a folder imports only what stands left of it, types included', async (t) => {
  const problems: string[] = []
  for (const { path, tree } of sources) {
    const folder = folderOf(path)
    const allowed = LAYERS[folder]
    if (allowed === undefined) {
      problems.push(`${path}: src/${folder} is not in LAYERS; say there what it may import`)
      continue
    }
    for (const specifier of importsOf(tree)) {
      if (!specifier.startsWith('.')) continue
      const target = resolved(path, specifier)
      const isOwn = target.split('/')[0] === folder
      // A store does not know the other store, nor a transport the other.
      const isSibling = folder === 'storage' && isOwn && target.split('/')[1] !== inSource(path).split('/')[1]
      const isAllowed = allowed.some((place) => target === place || target.startsWith(`${place}/`))
      if (isAllowed || (isOwn && !isSibling)) continue
      problems.push(`${path}: imports ${target}; ${folder} may import ${allowed.join(', ') || 'nothing'}. Use a port.`)
    }
  }
  none(t, problems, 'dependency rule')
})

t.test('a package is imported only in the folder that wraps it, node: only outside the pure part', async (t) => {
  const problems: string[] = []
  for (const { path, tree } of sources) {
    for (const specifier of importsOf(tree)) {
      if (specifier.startsWith('.')) continue
      if (specifier.startsWith('node:')) {
        if (isUnder(path, NODE_FREE)) problems.push(`${path}: imports ${specifier}; pass it in through a port`)
        if (isUnder(path, ['client/']) && !isUnder(path, CLIENT_ON_NODE)) {
          problems.push(`${path}: imports ${specifier}, but is part of the browser build; pass it in as Platform`)
        }
        continue
      }
      const name = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier
      const places = PACKAGES[name]
      if (places === undefined)
        problems.push(`${path}: imports ${name}, which is not in PACKAGES; say there where it may be used`)
      else if (!isUnder(path, places))
        problems.push(`${path}: imports ${name}; only ${places.join(', ')} may, use what they export`)
    }
  }
  none(t, problems, 'packages')
})

t.test('time, chance and the process are passed in', async (t) => {
  const problems: string[] = []
  for (const { path, tree } of sources) {
    const visit = (node: ts.Node): void => {
      const name = ts.isPropertyAccessExpression(node)
        ? node.getText(tree)
        : ts.isNewExpression(node) && node.getText(tree) === 'new Date()'
          ? 'new Date()'
          : ts.isIdentifier(node) && !ts.isPropertyAccessExpression(node.parent) && !ts.isPropertySignature(node.parent)
            ? node.text
            : ''
      const rule = RESTRICTED.find((candidate) => candidate.what === name)
      const isOwnConsole = rule?.what === 'console.log' && isUnder(path, ['cli/'])
      if (rule !== undefined && !isUnder(path, rule.where) && !isOwnConsole) {
        const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree))
        problems.push(`${path}:${line + 1}: ${rule.what}; ${rule.instead}`)
      }
      ts.forEachChild(node, visit)
    }
    visit(tree)
  }
  none(t, problems, 'restricted calls')
})

t.test('the pure part knows no Buffer and no process', async (t) => {
  const problems: string[] = []
  for (const { path, tree } of sources) {
    // The fast paths for text live in one file and are looked up, not required.
    if (!isUnder(path, NODE_FREE) || path === 'src/base/utf8.ts') continue
    const visit = (node: ts.Node): void => {
      const isName = ts.isIdentifier(node) && (node.text === 'Buffer' || node.text === 'process')
      if (isName && !ts.isPropertyAccessExpression(node.parent.parent ?? node)) {
        const isMember = ts.isPropertyAccessExpression(node.parent) && node.parent.name === node
        const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree))
        if (!isMember) problems.push(`${path}:${line + 1}: ${node.text}; use Uint8Array and base/utf8.ts`)
      }
      ts.forEachChild(node, visit)
    }
    visit(tree)
  }
  none(t, problems, 'pure')
})

t.test('lines fit, functions fit a screen, files hold one idea', async (t) => {
  const problems: string[] = []
  for (const { path, text, tree } of everything) {
    const lines = text.split('\n')
    lines.forEach((line, index) => {
      if (line.length <= LINE_COLUMNS_MAX || /https?:\/\//.test(line)) return
      problems.push(`${path}:${index + 1}: ${line.length} columns; break it at ${LINE_COLUMNS_MAX}`)
    })
    if (path.startsWith('src/') && lines.length > FILE_LINES_MAX) {
      problems.push(`${path}: ${lines.length} lines; find the second idea in it and give that its own file`)
    }
    if (!path.startsWith('src/')) continue
    const visit = (node: ts.Node): void => {
      if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
        const from = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line
        const length = tree.getLineAndCharacterOfPosition(node.getEnd()).line - from + 1
        if (length > FUNCTION_LINES_MAX) {
          problems.push(`${path}:${from + 1}: a function of ${length} lines; keep the branching, move leaves below`)
        }
      }
      ts.forEachChild(node, visit)
    }
    visit(tree)
  }
  none(t, problems, 'sizes')
})

t.test('every file opens by saying what it answers for', async (t) => {
  const problems = everything
    .filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text))
    .map(({ path }) => `${path}: begin with a comment of 2 to 8 lines: what it answers for, what not, the one idea`)
  none(t, problems, 'file headers')
})

t.test('nothing is left for later or left switched off', async (t) => {
  const marks = new RegExp(`\\b(${['FIX', 'TO', 'HA'].join('|')})(ME|DO|CK)\\b|\\bX{3}\\b`)
  const problems: string[] = []
  for (const { path, text } of everything) {
    text.split('\n').forEach((line, index) => {
      const place = `${path}:${index + 1}`
      if (marks.test(line)) problems.push(`${place}: do it, or write an issue`)
      if (!path.startsWith('src/') && /\bt\.only\(|\bonly: true/.test(line))
        problems.push(`${place}: let all tests run`)
      if (/\bt\.todo\(/.test(line)) problems.push(`${place}: write the test, or none`)
      if (/@ts-(ignore|nocheck)/.test(line))
        problems.push(`${place}: say the type, or use @ts-expect-error with a reason`)
      if (/^\s*export default/.test(line)) problems.push(`${place}: export it by its name`)
      if (/^\s*(export )?(const )?enum /.test(line)) problems.push(`${place}: use an object \`as const\``)
    })
  }
  none(t, problems, 'leftovers')
})

t.test('files are named in kebab-case after the thing, not after being useful', async (t) => {
  const problems = everything.flatMap(({ path }) => {
    const name = path.split('/').at(-1) as string
    if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.bench)?\.ts$/.test(name)) return [`${path}: use kebab-case`]
    if (/\b(utils?|helpers?|manager|impl|misc|common)\b/.test(name.replaceAll('-', ' '))) {
      return [`${path}: name it after the one thing it exports`]
    }
    return []
  })
  none(t, problems, 'file names')
})

t.test('every source file is reached from an entry', async (t) => {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const reached = new Set<string>()
  const visit = (path: string): void => {
    const source = byPath.get(path)
    if (source === undefined || reached.has(path)) return
    reached.add(path)
    for (const specifier of importsOf(source.tree)) {
      if (specifier.startsWith('.')) visit(`src/${resolved(path, specifier)}.ts`)
    }
  }
  for (const entry of ENTRIES) visit(entry)
  const dead = sources.filter(({ path }) => !reached.has(path))
  none(
    t,
    dead.map(({ path }) => `${path}: nobody imports it; use it or remove it`),
    'dead files',
  )
})

t.test('the changelog has a line for everything a user can notice, in one form', async (t) => {
  const lines = read('CHANGELOG.md').split('\n')
  t.equal(lines[0], '# Changelog')
  const headings = lines.filter((line) => line.startsWith('## '))
  t.equal(headings[0], '## Unreleased', 'the newest section is Unreleased')
  const problems = lines.slice(1).flatMap((line, index) => {
    const isFine =
      line === '' ||
      line === '## Unreleased' ||
      /^## \d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}$/.test(line) ||
      /^- (Add|Fix|Change|Remove|Security): \S.*[.)]$/.test(line)
    return isFine
      ? []
      : [`CHANGELOG.md:${index + 2}: write "- Add: …." (or Fix, Change, Remove, Security), one line each`]
  })
  none(t, problems, 'changelog form')
})

t.test('the architecture page has a line for every folder and a sentence for every dependency', async (t) => {
  const page = read('src/README.md')
  const folders = readdirSync(new URL('src/', ROOT), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const dependencies = Object.keys((JSON.parse(read('package.json')) as { dependencies: object }).dependencies)
  const problems = [
    ...folders
      .filter(({ name }) => !page.includes(`\`${name}/\``))
      .map(({ name }) => `src/README.md: say what \`${name}/\` is`),
    ...dependencies
      .filter((name) => !page.includes(`- \`${name}\``))
      .map((name) => `src/README.md: say why we use \`${name}\``),
    ...dependencies
      .filter((name) => PACKAGES[name] === undefined)
      .map((name) => `package.json: nothing imports ${name}`),
  ]
  none(t, problems, 'architecture page')
})

t.test('paths named in the pages exist', async (t) => {
  const problems: string[] = []
  for (const [page, base] of [
    ['README.md', ''],
    ['src/README.md', 'src/'],
  ] as const) {
    for (const [, path] of read(page).matchAll(
      /`((?:src|test|config|conformance|\.ci)\/[\w./-]*|[\w-]+\/[\w./-]+\.ts)`/g,
    )) {
      const candidates = [path, `${base}${path}`, `src/${path}`].map((candidate) => new URL(candidate as string, ROOT))
      if (!candidates.some((candidate) => existsSync(candidate))) problems.push(`${page}: \`${path}\` does not exist`)
    }
  }
  none(t, problems, 'paths in the pages')
})
