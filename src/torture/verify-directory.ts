/**
 * The ledger's opinion of a data directory whose broker was killed: `tallymq ledger verify` on a copy of it, in a
 * process of its own, before the next broker has seen it. What it checks is its business.
 */
import { execFile } from 'node:child_process'
import { cpSync, rmSync, statSync } from 'node:fs'
import type { Environment } from './broker-process.js'

const TALLYMQ = new URL('../cli/main.js', import.meta.url).pathname
const OUTPUT_BYTES_MAX = 64 * 1_048_576
/** sysexits EX_USAGE. */
const NO_SUCH_COMMAND = 64

export interface Verification {
  readonly isBalanced: boolean
  readonly sentence: string
}

/** @returns null when this build cannot verify. @param copy is removed when everything is as it should be. */
export async function verifyDirectory(
  dataDirectory: string,
  copy: string,
  environment: Environment,
): Promise<Verification | null> {
  copyDirectory(dataDirectory, copy)
  const { exitCode, output } = await run(['ledger', 'verify', '--data', copy, '--json'], environment)
  if (exitCode !== 0 && exitCode !== NO_SUCH_COMMAND) return { isBalanced: false, sentence: output.slice(0, 2_000) }
  rmSync(copy, { recursive: true })
  return exitCode === NO_SUCH_COMMAND ? null : { isBalanced: true, sentence: '' }
}

/** Files only: what holds a broker's lock is a socket, and the dead leave it behind. */
export function copyDirectory(from: string, to: string): void {
  const filter = (path: string) => statSync(path).isFile() || statSync(path).isDirectory()
  cpSync(from, to, { recursive: true, filter })
}

function run(args: readonly string[], env: Environment): Promise<{ exitCode: number; output: string }> {
  return new Promise((resolve) => {
    const options = { env: { ...env }, maxBuffer: OUTPUT_BYTES_MAX }
    execFile(process.execPath, [TALLYMQ, ...args], options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ exitCode, output: `${stdout}${stderr}` })
    })
  })
}
