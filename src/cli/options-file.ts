/** `-o FILE`: flags from a file, each in a line of its own with its value; empty lines and those with # are nothing. */
import { readFileSync } from 'node:fs'
import { CommandError, ExitCode } from './exit-codes.js'
import { takesValue } from './properties.js'

/** Puts the flags of the file where the file was named. @throws CommandError when it cannot be read. */
export function expandOptionsFiles(args: readonly string[]): string[] {
  const expanded: string[] = []
  for (let index = 0; index < args.length; index += 1) {
    const argument = args[index] as string
    const next = args[index + 1]
    if (argument === '-o' || argument === '--options-file') {
      if (next === undefined) throw new CommandError(ExitCode.USAGE, '-o: needs a file')
      expanded.push(...flagsOf(next))
      index += 1
    } else {
      expanded.push(argument)
      // The value of another flag may well be the text "-o".
      if (takesValue(argument) && next !== undefined) {
        expanded.push(next)
        index += 1
      }
    }
  }
  return expanded
}

function flagsOf(file: string): string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new CommandError(ExitCode.USAGE, `-o: ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'))
  return lines.flatMap((line) => {
    const [flag, value] = line.trim().split(/\s+(.*)/s, 2) as [string, string | undefined]
    if (!flag.startsWith('-')) throw new CommandError(ExitCode.USAGE, `-o: ${file}: "${flag}" is no flag`)
    if (flag === '-D' || flag === '--property') return [flag, ...wordsOfProperty(value ?? '')]
    return value === undefined ? [flag] : [flag, value]
  })
}

/** Three words, with user-property four; the last may hold blanks. */
function wordsOfProperty(text: string): string[] {
  const form = /^\S+\s+user-property\s/.test(text) ? /^(\S+)\s+(\S+)\s+(\S+)\s+(.*)$/s : /^(\S+)\s+(\S+)\s+(.*)$/s
  return form.exec(text)?.slice(1) ?? text.split(/\s+/)
}
