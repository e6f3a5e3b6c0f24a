/**
 * mosquitto_pub and mosquitto_sub from Debian as peers. A subscriber is started when its SUBACK has come (`-d` says
 * so), and prints one line per message, its fields separated by bars.
 */
import type { Test } from 'tap'
import { CliProcess, type CliResult } from './cli-process.js'
import { Inbox } from './peers-inbox.js'

export type MosquittoVersion = 'mqttv31' | 'mqttv311' | 'mqttv5'

/** QoS, retain, topic, payload. */
export const MESSAGE = '%q|%r|%t|%p'
/** Content type, response topic, correlation data, user properties in order, expiry, payload format. */
export const PROPERTIES = `${MESSAGE}|%C|%R|%D|%P|%E|%F`
const MARK = 'MSG|'
/** It would keep what it prints about SUBACK until the first message. `stdbuf` becomes the program: same process id. */
const COMMAND = ['-oL', 'mosquitto_sub']

function target(port: string, version: MosquittoVersion): string[] {
  return ['-h', '127.0.0.1', '-p', port, '-V', version]
}

/** @throws Error when it does not end with 0 */
export async function mosquittoPub(port: string, version: MosquittoVersion, args: readonly string[]): Promise<void> {
  const result = await new CliProcess('mosquitto_pub', [...target(port, version), ...args]).ended
  if (result.exitCode !== 0) throw new Error(`mosquitto_pub ended with ${result.exitCode}: ${result.errors}`)
}

export class MosquittoSub {
  readonly lines: Inbox<string>
  readonly #cli: CliProcess

  private constructor(cli: CliProcess, lines: Inbox<string>) {
    this.#cli = cli
    this.lines = lines
    let rest = ''
    cli.child.stdout.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line.startsWith(MARK)) this.lines.push(line.slice(MARK.length))
    })
  }

  /** Resolves when it is subscribed; it ends with the test at the latest. */
  static async start(
    t: Test,
    port: string,
    version: MosquittoVersion,
    args: readonly string[],
    format = MESSAGE,
    lines = new Inbox<string>(),
  ): Promise<MosquittoSub> {
    const cli = new CliProcess('stdbuf', [...COMMAND, ...target(port, version), '-d', '-F', MARK + format, ...args])
    const sub = new MosquittoSub(cli, lines)
    t.teardown(() => {
      cli.child.kill('SIGKILL')
      return cli.ended
    })
    await cli.saw(/^Subscribed .*$/m)
    return sub
  }

  get ended(): Promise<CliResult> {
    return this.#cli.ended
  }

  /** No DISCONNECT: the broker sees a lost connection. */
  kill(): Promise<CliResult> {
    this.#cli.child.kill('SIGKILL')
    return this.#cli.ended
  }
}
