/**
 * A line typed at a terminal that does not show it. The terminal is told to hand over every key, so that what edits a
 * line is done here: backspace, Ctrl-U, Ctrl-C.
 */
import { CommandError, ExitCode } from './exit-codes.js'

/** What of a terminal's two ends is needed; `process.stdin` and `process.stderr` are such. */
export interface TerminalInput {
  setRawMode(isRaw: boolean): unknown
  on(event: 'data', heard: (chunk: Uint8Array) => void): unknown
  off(event: 'data', heard: (chunk: Uint8Array) => void): unknown
  resume(): unknown
  pause(): unknown
}

const [CTRL_C, CTRL_D, CTRL_U, BACKSPACE, DELETE] = ['\x03', '\x04', '\x15', '\b', '\x7f']

export function readHidden(prompt: string, input: TerminalInput, say: (text: string) => void): Promise<string> {
  const decoder = new TextDecoder()
  let typed: string[] = []
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      input.off('data', heard)
      input.setRawMode(false)
      input.pause()
      say('\n')
      settle()
    }
    const heard = (chunk: Uint8Array): void => {
      for (const key of decoder.decode(chunk, { stream: true })) {
        if (key === '\r' || key === '\n' || key === CTRL_D) return end(() => resolve(typed.join('')))
        if (key === CTRL_C) return end(() => reject(new CommandError(ExitCode.USAGE, 'interrupted')))
        if (key === BACKSPACE || key === DELETE) typed.pop()
        else if (key === CTRL_U) typed = []
        else typed.push(key)
      }
    }
    say(prompt)
    input.setRawMode(true)
    input.on('data', heard)
    input.resume()
  })
}
