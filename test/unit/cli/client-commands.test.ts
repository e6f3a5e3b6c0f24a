/** `pub` and `sub`: what their flags make the SDK do, what they print, and how they end. The SDK is a stand-in here. */
import t from 'tap'
import { runCommand } from '../../../src/cli/console.js'
import { pub } from '../../../src/cli/pub.js'
import { sub } from '../../../src/cli/sub.js'
import {
  type Client,
  type ClientEventListener,
  type ConnectOptions,
  type Message,
  type PublishOptions,
  type SubscribeOptions,
  TallyError,
} from '../../../src/client/api.js'
import { FakeConsole } from '../../support/fake-console.js'

const HASH_FREE = { sessionExpiryIntervalSec: 0, keepAliveSec: 60, properties: {} }

class FakeBroker {
  readonly connects: ConnectOptions[] = []
  readonly published: [topicName: string, payload: string, options: PublishOptions][] = []
  readonly subscribed: [filters: unknown, options: SubscribeOptions][] = []
  readonly unsubscribed: unknown[] = []
  readonly acknowledged: string[] = []
  readonly closed: unknown[] = []
  connectError: Error | undefined
  publishError: Error | undefined
  reasonCodes: number[] = [0]
  /** Delivered as soon as the subscription stands. */
  messages: Partial<Message>[] = []
  #listener: ClientEventListener<'message'> | undefined
  #state: ClientEventListener<'state'>[] = []

  readonly connect = async (options: ConnectOptions): Promise<Client> => {
    this.connects.push(options)
    if (this.connectError !== undefined) throw this.connectError
    const client: Partial<Client> = {
      clientId: 'assigned',
      connack: { sessionPresent: false, properties: {} },
      on: (name, listener) => {
        if (name === 'message') this.#listener = listener as ClientEventListener<'message'>
        if (name === 'state') this.#state.push(listener as ClientEventListener<'state'>)
        return () => {}
      },
      publish: async (topicName, payload, publishOptions) => {
        const text = typeof payload === 'string' ? payload : Buffer.from(payload).toString('latin1')
        this.published.push([topicName, text, publishOptions ?? {}])
        if (this.publishError !== undefined) throw this.publishError
        return { qos: publishOptions?.qos ?? 0, reasonCode: 0, properties: null }
      },
      subscribe: async (filters, subscribeOptions) => {
        this.subscribed.push([filters, subscribeOptions ?? {}])
        for (const message of this.messages) this.deliver(message)
        return { reasonCodes: this.reasonCodes } as never
      },
      unsubscribe: async (filters) => {
        this.unsubscribed.push(filters)
      },
      close: async (closeOptions) => {
        this.closed.push(closeOptions)
      },
    }
    return client as Client
  }

  deliver(given: Partial<Message>): void {
    const payload = given.payload ?? new TextEncoder().encode('hello')
    const message = {
      topicName: 'a/b',
      qos: 1,
      retain: false,
      dup: false,
      properties: {},
      subscriptionIdentifiers: [],
      ...given,
      payload,
      text: () => '',
      acknowledge: () => {
        this.acknowledged.push(Buffer.from(payload).toString('utf8'))
      },
    }
    void this.#listener?.(message as Message)
  }

  giveUp(error: TallyError): void {
    for (const listener of this.#state) void listener({ name: 'closed', reason: { kind: 'failed', error } })
  }
}

type Command = typeof pub
async function run(command: Command, args: string[], broker = new FakeBroker(), console = new FakeConsole()) {
  const exitCode = await runCommand(console, () => command(args, console, broker.connect))
  return { exitCode, broker, console, connected: broker.connects[0], said: console.logged.join('\n') }
}

t.test('address and identity flags become connect options', async (t) => {
  for (const [flags, expected] of [
    [[], { url: 'mqtt://127.0.0.1:1883', protocolLevel: 5, cleanStart: true, ...HASH_FREE }],
    [['-h', 'mq', '-p', '1884', '-V', '311'], { url: 'mqtt://mq:1884', protocolLevel: 4 }],
    [['-h', '::1'], { url: 'mqtt://[::1]:1883' }],
    [['--url', 'ws://127.0.0.1:8083'], { url: 'ws://127.0.0.1:8083/', protocolLevel: undefined }],
    [
      ['--url', 'ws://127.0.0.1:8083/mqtt', '-V', '311'],
      { url: 'ws://127.0.0.1:8083/mqtt', protocol: 'mqtt', protocolLevel: 4 },
    ],
    [['-L', 'mqtt://al:p%40ss@mq:99'], { url: 'mqtt://mq:99', username: 'al', password: 'p@ss' }],
    [['-u', 'al', '-P', 'pw', '-i', 'id1'], { username: 'al', password: 'pw', clientId: 'id1' }],
    [['-I', 'dev-'], { clientId: 'dev-4711' }],
    [['-i', 'id1', '-c'], { cleanStart: false, sessionExpiryIntervalSec: 0xffff_ffff }],
    [['-i', 'id1', '-c', '-x', '30'], { cleanStart: false, sessionExpiryIntervalSec: 30 }],
    [['-x', '-1'], { sessionExpiryIntervalSec: 0xffff_ffff }],
    [['-x', '∞'], { sessionExpiryIntervalSec: 0xffff_ffff }],
    [['-k', '7', '-V', 'mqttv31'], { keepAliveSec: 7, protocolLevel: 3 }],
    [
      [
        '--will-topic',
        'w',
        '--will-payload',
        'gone',
        '--will-qos',
        '2',
        '--will-retain',
        '-D',
        'will',
        'will-delay-interval',
        '5',
      ],
      { will: { topicName: 'w', payload: 'gone', qos: 2, retain: true, properties: { willDelayIntervalSec: 5 } } },
    ],
    [
      ['-D', 'connect', 'user-property', 'k', 'v', '-D', 'connect', 'receive-maximum', '9'],
      { properties: { userProperties: [['k', 'v']], receiveMaximum: 9 } },
    ],
  ] as const) {
    const { connected, exitCode } = await run(pub, ['-t', 'a', '-m', 'x', ...flags])
    t.equal(exitCode, 0, flags.join(' '))
    t.match(connected, expected, flags.join(' ') || 'no flag')
  }
  const console = new FakeConsole({ environment: { TALLYMQ_PASSWORD: 'from-env' } })
  const { connected } = await run(pub, ['-t', 'a', '-m', 'x', '-u', 'al'], new FakeBroker(), console)
  t.equal(connected?.password, 'from-env')
})

t.test('flags that make no sense end with exit code 64 and a sentence, before any connection', async (t) => {
  for (const [command, flags, pattern] of [
    [pub, ['-m', 'x'], /no topic: give one with -t/],
    [pub, ['-t', 'a'], /give one of -m, -f, -s, -l or -n/],
    [pub, ['-t', 'a', '-m', 'x', '-n'], /use one of them/],
    [pub, ['-t', 'a', '-m', 'x', '-q', '3'], /must be 0, 1 or 2/],
    [pub, ['-t', 'a', '-l', '--repeat', '2'], /--repeat does not go with -l/],
    [pub, ['-t', 'a', '-m', 'x', '-p', '70000'], /from 1 to 65535/],
    [pub, ['-t', 'a', '-m', 'x', '--url', 'http://x'], /must look like ws:\/\//],
    [pub, ['-t', 'a', '-m', 'x', '--url', 'ws://x', '-h', 'y'], /leave -h and -p out/],
    [pub, ['-t', 'a', '-m', 'x', '-i', 'a', '-I', 'b'], /-i and -I/],
    [pub, ['-t', 'a', '-m', 'x', '-c'], /add -i/],
    [pub, ['-t', 'a', '-m', 'x', '--will-retain'], /need --will-topic/],
    [pub, ['-t', 'a', '-m', 'x', '-D', 'publish', 'content', 'y'], /is none of content-type/],
    [pub, ['-t', 'a', '-m', 'x', '-D', 'publish', 'topic-alias', '0'], /from 1 to 65535/],
    [pub, ['-t', 'a', '-m', 'x', '-D', 'publish', 'user-property', 'k'], /needs a name and a value/],
    [pub, ['-t', 'a', '-m', 'x', '-D', 'fetch'], /is none of connect/],
    [pub, ['-t', 'a', '-m', 'x', '--foo'], /unknown option '--foo'/],
    [pub, ['-t', 'a', '-m', 'x', '-V', '6'], /one of .*mqttv5/],
    [sub, [], /give at least one with -t/],
    [sub, ['-t', 'a', '-F', '%z'], /-F: %z is no format/],
    [sub, ['-t', 'a', '-C', '0'], /whole number from 1/],
    [sub, ['-t', 'a', '--retain-handling', 'often'], /always, new or never/],
  ] as const) {
    const { exitCode, said, broker } = await run(command, [...flags])
    t.equal(exitCode, 64, flags.join(' '))
    t.match(said, pattern)
    t.equal(broker.connects.length, 0)
  }
  const { said } = await run(pub, ['-t', 'a', '-m', 'x', '--url', 'http://al:secret@x'])
  t.notMatch(said, 'secret')
})

t.test('every source of payloads publishes what it holds', async (t) => {
  const dir = t.testdir({ payload: Buffer.from([0xff, 0x0a, 0x00]) })
  const texts = async (flags: string[], input: (string | Uint8Array)[] = []) => {
    const { broker } = await run(pub, ['-t', 'a', ...flags], new FakeBroker(), new FakeConsole({ input }))
    return broker.published.map(([, payload]) => payload)
  }
  t.same(await texts(['-m', '-dash and -D']), ['-dash and -D'])
  t.same(await texts(['-m', '-D']), ['-D'])
  t.same(await texts(['-n', '-r']), [''])
  t.same(await texts(['-f', `${dir}/payload`]), ['\xff\n\0'])
  t.same(await texts(['-s'], ['one\n', 'two']), ['one\ntwo'])
  t.same(await texts(['-l'], ['one\ntw', 'o\n', '\nlast']), ['one', 'two', '', 'last'])
  t.same(await texts(['-l'], [Uint8Array.of(0xff, 0xfe, 0x0a)]), ['\xff\xfe'])
  t.same(await texts(['-m', 'x', '--repeat', '3']), ['x', 'x', 'x'])
  const missing = await run(pub, ['-t', 'a', '-f', `${dir}/none`])
  t.equal(missing.exitCode, 1)
  t.match(missing.said, /cannot be read \(ENOENT\)/)
})

t.test('pub passes qos, retain and properties on, and counts in JSON', async (t) => {
  const flags = ['-t', 'a/b', '-m', 'x', '-q', '2', '-r', '--json', '-D', 'publish', 'content-type', 'text/plain']
  const { broker, console } = await run(pub, flags)
  t.same(broker.published, [['a/b', 'x', { qos: 2, retain: true, properties: { contentType: 'text/plain' } }]])
  t.equal(console.output, '{"published":1,"topic":"a/b","qos":2}\n')
  t.equal(broker.closed.length, 1)
  const fromUrl = await run(pub, ['-L', 'mqtt://h/x/y', '-m', 'x'])
  t.equal(fromUrl.broker.published[0]?.[0], 'x/y')
})

t.test('a refusal is exit code 5, a failure exit code 1', async (t) => {
  for (const [code, exitCode] of [
    ['CONNECT_REFUSED', 5],
    ['CONNECT_FAILED', 1],
  ] as const) {
    const broker = new FakeBroker()
    broker.connectError = new TallyError(code, 'said the broker')
    for (const command of [pub, sub]) {
      const result = await run(command, command === pub ? ['-t', 'a', '-m', 'x'] : ['-t', 'a'], broker)
      t.equal(result.exitCode, exitCode, code)
      t.match(result.said, 'said the broker')
      const flags = command === pub ? ['-t', 'a', '-m', 'x', '--quiet'] : ['-t', 'a', '--quiet']
      t.match(await run(command, flags, broker), { exitCode, said: '' }, 'quiet')
    }
  }
  const broker = new FakeBroker()
  broker.publishError = new TallyError('PUBLISH_REFUSED', 'not yours', { reasonCode: 0x87 })
  const result = await run(pub, ['-t', 'a', '-m', 'x', '-q', '1'], broker)
  t.equal(result.exitCode, 5)
  t.match(result.said, /not yours/)
})

t.test('sub prints and acknowledges what it printed, and no more than -C asks for', async (t) => {
  const broker = new FakeBroker()
  broker.messages = ['1', '2', '3'].map((text) => ({ payload: new TextEncoder().encode(text) }))
  const flags = [
    '-t',
    'a/#',
    '-t',
    'b',
    '-C',
    '2',
    '-v',
    '-q',
    '2',
    '--retain-handling',
    'new',
    '--retain-as-published',
  ]
  const { exitCode, console } = await run(sub, flags, broker)
  t.equal(exitCode, 0)
  t.equal(console.output, 'a/b 1\na/b 2\n')
  t.same(broker.acknowledged, ['1', '2'], 'the third stays with the broker')
  t.equal(broker.connects[0]?.manualAck, true)
  t.match(broker.subscribed, [[['a/#', 'b'], { qos: 2, retainHandling: 1, retainAsPublished: true }]])
})

t.test('sub leaves out what -T and -R say, and ends at the first live message under --retained-only', async (t) => {
  const of = (text: string, given: Partial<Message> = {}) => ({ payload: new TextEncoder().encode(text), ...given })
  const broker = new FakeBroker()
  broker.messages = [of('1', { topicName: 'a/x' }), of('2', { retain: true }), of('3')]
  const { console } = await run(sub, ['-t', '#', '-T', 'a/x', '-R', '-C', '1', '-N'], broker)
  t.equal(console.output, '3')
  t.same(broker.acknowledged, ['1', '2', '3'])
  const retained = new FakeBroker()
  retained.messages = [of('1', { retain: true, topicName: 'r' }), of('2')]
  const result = await run(sub, ['-t', '#', '--retained-only', '--remove-retained'], retained)
  t.equal(result.console.output, '1\n')
  t.equal(result.exitCode, 0)
  t.same(retained.published, [['r', '', { qos: 1, retain: true }]])
})

t.test('sub prints %j lines with --json', async (t) => {
  const broker = new FakeBroker()
  broker.messages = [{}]
  const { console } = await run(sub, ['-t', 'a', '--json', '-C', '1'], broker)
  t.match(JSON.parse(console.output), { topic: 'a/b', qos: 1, payloadlen: 5, payload: 'hello' })
})

t.test('-W ends with 27, -E after the SUBACK, a signal with 0, a client that gave up with 1', async (t) => {
  const waiting = new FakeConsole()
  const timedOut = run(sub, ['-t', 'a', '-W', '3'], new FakeBroker(), waiting)
  waiting.timePasses()
  t.equal((await timedOut).exitCode, 27)
  t.match(waiting.logged, ['Timed out'])
  t.equal((await run(sub, ['-t', 'a', '-E'])).exitCode, 0)
  const console = new FakeConsole()
  const broker = new FakeBroker()
  const interrupted = run(sub, ['-t', 'a', '-U', 'old'], broker, console)
  console.interrupt()
  t.equal((await interrupted).exitCode, 0)
  const failing = new FakeBroker()
  failing.messages = []
  const failed = run(sub, ['-t', 'a'], failing)
  await new Promise(setImmediate)
  failing.giveUp(new TallyError('CONNECTION_LOST', 'gone'))
  t.equal((await failed).exitCode, 1)
})

t.test('a filter that is refused among others is said', async (t) => {
  const broker = new FakeBroker()
  broker.reasonCodes = [0, 0x87]
  const { said } = await run(sub, ['-t', 'a', '-t', 'b', '-E'], broker)
  t.match(said, /Subscription to b refused, reason code 0x87/)
})

t.test('--help shows the flags and the exit codes, and is no error', async (t) => {
  for (const command of [pub, sub]) {
    const { exitCode, console } = await run(command, ['--help'])
    t.equal(exitCode, 0)
    t.match(console.output, /--will-topic[\s\S]*Exit codes:[\s\S]*27/)
  }
})

t.test('-M: the next message waits for the acknowledgement of the one before', async (t) => {
  const broker = new FakeBroker()
  let underWay = 0
  let most = 0
  const connect = async (options: ConnectOptions) => {
    const client = await broker.connect(options)
    const publish = async () => {
      underWay += 1
      most = Math.max(most, underWay)
      await new Promise((resolve) => setImmediate(resolve))
      underWay -= 1
      return { qos: 1, reasonCode: 0, properties: null }
    }
    return Object.assign(client, { publish })
  }
  for (const [flags, expected] of [
    [['-M', '1'], 1],
    [['-M', '3'], 3],
    [['-M', '0'], 10],
  ] as const) {
    most = 0
    const console = new FakeConsole()
    await runCommand(console, () =>
      pub(['-t', 'a', '-q', '1', '-m', 'x', '--repeat', '10', ...flags], console, connect),
    )
    t.equal(most, expected, flags.join(' '))
  }
})

t.test('--random-filter: what chance leaves out is counted and acknowledged, and not printed', async (t) => {
  const broker = new FakeBroker()
  const bytes = (text: string) => new TextEncoder().encode(text)
  broker.messages = ['one', 'two', 'three'].map((text) => ({ topicName: 'a', payload: bytes(text), qos: 1 }))
  const console = new FakeConsole()
  console.chances.push(0.2, 0.5, 0.1)
  await run(sub, ['-t', 'a', '-C', '3', '--random-filter', '50'], broker, console)
  t.equal(console.output, 'one\nthree\n')
  for (const wrong of ['0', '101', 'x']) {
    t.equal((await run(sub, ['-t', 'a', '--random-filter', wrong])).exitCode, 64, wrong)
  }
})
