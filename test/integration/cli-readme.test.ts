/** The programs in the README run as they stand there; only addresses and directories are the test's own. */
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { CliProcess, startBroker } from '../support/cli-process.js'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const programs = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, program]) => program as string)

function run(t: { testdir(): string }, program: string) {
  const directory = t.testdir()
  const file = `${directory}/program.mjs`
  writeFileSync(file, program.replace("'./data'", JSON.stringify(`${directory}/data`)))
  return new CliProcess(process.execPath, [file]).ended
}

t.test('the client program prints what it published', async (t) => {
  const { ws } = await startBroker(t, ['--store', 'memory'])
  const program = programs.find((text) => text.includes("'tallymq/client'")) as string
  const { exitCode, output, errors } = await run(t, program.replace('ws://127.0.0.1:8083', ws))
  t.equal(exitCode, 0, errors)
  t.equal(output, 'meters/7 {"kWh":12.5}\n')
})

t.test('the embedded broker starts and stops', async (t) => {
  const program = programs.find((text) => text.includes('createBroker')) as string
  const { exitCode, output, errors } = await run(t, program)
  t.equal(exitCode, 0, errors)
  t.match(output, /^http:\/\/127\.0\.0\.1:\d+\n$/)
})
