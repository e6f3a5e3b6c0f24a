/** `tallymq passwd` at a terminal: what is typed is not shown, can be corrected, and is asked for twice. */
import { PassThrough } from 'node:stream'
import t from 'tap'
import { parseScryptHash, verifyPassword } from '../../../src/auth/scrypt-hash.js'
import { runCommand } from '../../../src/cli/console.js'
import { ExitCode } from '../../../src/cli/exit-codes.js'
import { readHidden } from '../../../src/cli/hidden-input.js'
import { passwd } from '../../../src/cli/passwd.js'
import { FakeConsole } from '../../support/fake-console.js'

class FakeTerminal extends PassThrough {
  readonly rawModes: boolean[] = []
  setRawMode(isRaw: boolean): void {
    this.rawModes.push(isRaw)
  }
}

/** What is read when these keys are pressed, and all that the terminal showed. */
async function typing(...keys: readonly (string | Uint8Array)[]) {
  const terminal = new FakeTerminal()
  let shown = ''
  const read = readHidden('Password: ', terminal, (text) => {
    shown += text
  })
  for (const key of keys) terminal.write(key)
  try {
    return { read: await read, shown, rawModes: terminal.rawModes }
  } catch (error) {
    return { error, shown, rawModes: terminal.rawModes }
  }
}

t.test('a line is read without being shown, and edited as at any prompt', async (t) => {
  const done = { shown: 'Password: \n', rawModes: [true, false] }
  t.same(await typing('sec', 'ret\r'), { read: 'secret', ...done })
  t.same(await typing('wrong\x15sex\x7fcret\b\bet\n'), { read: 'secret', ...done })
  const [first, second] = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1)]
  t.same(await typing(first, second, '\r'), { read: 'é', ...done }, 'a character in two pieces')
  t.same(await typing('\x04'), { read: '', ...done })
  t.match(await typing('sec\x03'), { error: { message: 'interrupted' }, ...done })
})

/** Answers in turn. */
function consoleWith(...answers: string[]): FakeConsole {
  const askHidden = async () => answers.shift() ?? ''
  return new FakeConsole({ input: ['from a pipe\n'], askHidden })
}

t.test('at a terminal the password is asked for twice', async (t) => {
  const right = consoleWith('secret', 'secret')
  t.equal(await passwd([], right), ExitCode.OK)
  t.ok(await verifyPassword(Buffer.from('secret'), parseScryptHash(right.output.trim())))
  const mistyped = consoleWith('secret', 'sekret')
  t.equal(await runCommand(mistyped, () => passwd([], mistyped)), ExitCode.USAGE)
  t.equal(mistyped.output, '')
  const nothing = consoleWith('')
  t.equal(await runCommand(nothing, () => passwd([], nothing)), ExitCode.USAGE)
})

t.test('what comes through a pipe or the environment is taken as it is', async (t) => {
  const piped = new FakeConsole({ input: ['secret\r\n', 'more\n'] })
  t.equal(await passwd([], piped), ExitCode.OK)
  t.ok(await verifyPassword(Buffer.from('secret'), parseScryptHash(piped.output.trim())))
  const set = new FakeConsole({ environment: { TALLYMQ_PASSWORD: 'secret' }, askHidden: async () => 'another' })
  t.equal(await passwd([], set), ExitCode.OK)
  t.ok(await verifyPassword(Buffer.from('secret'), parseScryptHash(set.output.trim())))
})
