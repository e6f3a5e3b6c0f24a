/**
 * Builds brokers in a directory of its own, right or with one fault, and runs them. The source is compiled file by
 * file, without types, so that a fault costs one file; the checkout is not touched.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { transform } from 'esbuild'
import { type Configuration, type RunningBroker, startOwnBroker } from '../own-broker.js'

/** One place of the broker's source, said otherwise. */
export interface Fault {
  /** What the broker does wrong, in words. */
  readonly name: string
  /** Below src/. */
  readonly file: string
  /** Stands there exactly once. */
  readonly from: string
  readonly to: string
  /** Who has to see it: a case of this version, or one in each. */
  readonly version: 5 | 311 | 'both'
  /** One of these, in each version. */
  readonly caughtBy: readonly string[]
  /** For the rules about every packet, which see only what other cases bring about. */
  readonly provokedBy?: readonly string[]
}

export class Workshop {
  readonly #root: string
  readonly #directory: string
  #count = 0

  /** @param root of the repository. @param directory is filled, and is the caller's to remove. */
  constructor(root: string, directory: string) {
    this.#root = root
    this.#directory = directory
  }

  /** The broker as it is. @returns its home. */
  async build(): Promise<string> {
    const source = `${this.#root}/src`
    const home = this.#newHome()
    for (const path of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
      if (path.endsWith('.ts')) await compile(home, path, readFileSync(`${source}/${path}`, 'utf8'))
    }
    return home
  }

  /** @param home of the broker as it is. @returns that of the one with the fault. */
  async plant(home: string, fault: Fault): Promise<string> {
    const faulty = this.#newHome()
    cpSync(`${home}/dist`, `${faulty}/dist`, { recursive: true })
    await compile(faulty, fault.file, faultySource(this.#root, fault))
    return faulty
  }

  remove(home: string): void {
    rmSync(home, { recursive: true, force: true })
  }

  start(home: string, configuration: Configuration): Promise<RunningBroker> {
    return startOwnBroker(this.#root, `${home}/dist/cli/main.js`, configuration)
  }

  #newHome(): string {
    this.#count += 1
    const home = `${this.#directory}/broker${this.#count}`
    mkdirSync(home, { recursive: true })
    symlinkSync(`${this.#root}/node_modules`, `${home}/node_modules`)
    cpSync(`${this.#root}/package.json`, `${home}/package.json`)
    return home
  }
}

async function compile(home: string, path: string, source: string): Promise<void> {
  const outfile = `${home}/dist/${path.replace(/\.ts$/, '.js')}`
  const tsconfigRaw = { compilerOptions: { verbatimModuleSyntax: true } }
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node20', tsconfigRaw })
  mkdirSync(dirname(outfile), { recursive: true })
  writeFileSync(outfile, code)
}

/** @throws Error when the list of faults no longer fits the source. */
export function faultySource(root: string, { name, file, from, to }: Fault): string {
  const pieces = readFileSync(`${root}/src/${file}`, 'utf8').split(from)
  if (pieces.length === 2) return pieces.join(to)
  throw new Error(`"${name}": its text stands ${pieces.length - 1} times in src/${file}, not once; correct the list`)
}
