/** Python's paho as a peer: a process driven line by line, see peers-paho.py. */
import { spawnSync } from 'node:child_process'
import type { Test } from 'tap'
import { CliProcess } from './cli-process.js'
import { Inbox } from './peers-inbox.js'

/** Debian's own Python: another one on the PATH does not have Debian's packages. */
const PYTHON = '/usr/bin/python3'
const SCRIPT = new URL('peers-paho.py', import.meta.url).pathname

export interface PahoProperties {
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: string
  readonly payloadFormatIndicator?: 0 | 1
  readonly messageExpiryIntervalSec?: number
  readonly willDelayIntervalSec?: number
  readonly userProperties?: readonly (readonly [string, string])[]
}

export interface PahoOptions {
  readonly level: 4 | 5
  readonly transport: 'tcp' | 'websockets'
  readonly port: number
  readonly clientId: string
  readonly clean?: boolean
  readonly keepAliveSec?: number
  readonly properties?: { readonly sessionExpiryIntervalSec: number }
  readonly will?: { topicName: string; payload: string; qos: number; retain: boolean; properties?: PahoProperties }
}

export interface PahoMessage {
  readonly topicName: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly properties: PahoProperties
}

type PahoEvent =
  | { readonly event: 'connack'; readonly reasonCode: number; readonly sessionPresent: boolean }
  | { readonly event: 'suback'; readonly reasonCodes: readonly number[] }
  | ({ readonly event: 'message' } & PahoMessage)
  | { readonly event: 'published' }
  | { readonly event: 'disconnected'; readonly reasonCode: number }

/** @returns options for a test: `{}` or a reason to skip. @throws Error where every peer is required. */
export function needsPaho(): { skip?: string } {
  if (spawnSync(PYTHON, ['-c', 'import paho.mqtt.client']).status === 0) return {}
  if (process.env.TALLYMQ_REQUIRE_PEERS === '1')
    throw new Error('python3-paho-mqtt is not installed and TALLYMQ_REQUIRE_PEERS is set')
  return { skip: 'python3-paho-mqtt is not installed' }
}

export class Paho {
  readonly messages = new Inbox<PahoMessage>()
  readonly #events = new Inbox<PahoEvent>()
  readonly #cli: CliProcess
  sessionPresent = false

  private constructor(cli: CliProcess) {
    this.#cli = cli
    let rest = ''
    cli.child.stdout.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#heard(JSON.parse(line) as PahoEvent)
    })
  }

  /** Resolves when it is connected; it ends with the test at the latest. */
  static async start(t: Test, options: PahoOptions): Promise<Paho> {
    const complete = { clean: true, keepAliveSec: 60, ...options }
    const cli = new CliProcess(PYTHON, [SCRIPT, JSON.stringify(complete)])
    const paho = new Paho(cli)
    t.teardown(() => {
      cli.child.kill('SIGKILL')
      return cli.ended
    })
    const ended = cli.ended.then(({ errors }) => {
      throw new Error(`paho ended: ${errors}`)
    })
    const connack = await Promise.race([paho.#next('connack'), ended])
    ended.catch(() => {})
    if (connack.reasonCode !== 0) throw new Error(`paho was refused with ${connack.reasonCode}`)
    paho.sessionPresent = connack.sessionPresent
    return paho
  }

  async subscribe(topicFilter: string, qos: number, retainAsPublished = false): Promise<readonly number[]> {
    this.#send({ do: 'subscribe', topicFilter, qos, retainAsPublished })
    return (await this.#next('suback')).reasonCodes
  }

  /** Resolves when paho says that it is done: sent, PUBACK or PUBCOMP. */
  async publish(
    topicName: string,
    payload: string,
    options: { qos: number; retain?: boolean; properties?: PahoProperties },
  ): Promise<void> {
    this.#send({ do: 'publish', topicName, payload, retain: false, ...options })
    await this.#next('published')
  }

  /** DISCONNECT, then the end. */
  async close(): Promise<void> {
    this.#cli.child.stdin.end()
    await this.#cli.ended
  }

  /** The process ends without a word. */
  async vanish(): Promise<void> {
    this.#send({ do: 'vanish' })
    await this.#cli.ended
  }

  #send(command: object): void {
    this.#cli.child.stdin.write(`${JSON.stringify(command)}\n`)
  }

  #heard(event: PahoEvent): void {
    if (event.event === 'message') this.messages.push(event)
    else this.#events.push(event)
  }

  #next<Name extends PahoEvent['event']>(name: Name): Promise<Extract<PahoEvent, { event: Name }>> {
    return this.#events.find(({ event }) => event === name) as Promise<Extract<PahoEvent, { event: Name }>>
  }
}
