/** Mosquitto from Debian as a control experiment: its configuration is the test's, the ports are free ones. */
import { spawn } from 'node:child_process'
import type { Test } from 'tap'
import { freePort } from '../../src/torture/free-port.js'

/** Ends with the test. @param lines of its configuration, given free ports and the directory where `files` stand. */
export async function startMosquitto(
  t: Test,
  portCount: number,
  lines: (ports: readonly number[], directory: string) => readonly string[],
  files: Readonly<Record<string, string>> = {},
): Promise<readonly number[]> {
  const ports: number[] = []
  while (ports.length < portCount) ports.push(await freePort())
  const directory = t.testdirName
  // As root it would become a user of its own, who may not read our files.
  t.testdir({ ...files, 'm.conf': ['user root', ...lines(ports, directory), ''].join('\n') })
  const mosquitto = spawn('mosquitto', ['-c', `${directory}/m.conf`], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => mosquitto.kill())
  let said = ''
  for await (const chunk of mosquitto.stderr.setEncoding('utf8')) {
    said += chunk
    if (/running/.test(said)) return ports
  }
  throw new Error(`mosquitto does not start: ${said}`)
}
