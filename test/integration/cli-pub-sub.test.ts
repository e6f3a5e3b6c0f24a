/** `tallymq pub` and `tallymq sub` against a real broker. */
import t from 'tap'
import { startBroker, startTallymq, tallymq } from '../support/cli-process.js'

const SUBSCRIBED = /Subscription to .* granted/

t.test('what pub publishes, sub prints, natively and over MQTT, at every QoS', async (t) => {
  const broker = await startBroker(t, ['--data', `${t.testdir()}/data`])
  const native = ['--url', broker.ws]
  const mqtt5 = ['-h', '127.0.0.1', '-p', broker.mqttPort]
  const mqtt311 = [...mqtt5, '-V', '311']
  const mqttOverWebSocket = ['--url', `${broker.ws}/mqtt`]
  for (const [subscriber, publisher] of [
    [native, mqtt5],
    [mqtt311, native],
    [mqtt5, mqtt311],
    [mqttOverWebSocket, mqttOverWebSocket],
  ] as const) {
    const sub = startTallymq(['sub', ...subscriber, '-t', 'a/+', '-q', '2', '-C', '3', '-F', '%t %q %p', '-d'])
    await sub.saw(SUBSCRIBED)
    for (const qos of ['0', '1', '2']) {
      const pub = await tallymq(['pub', ...publisher, '-t', `a/${qos}`, '-q', qos, '-m', `hé ${qos}`])
      t.equal(pub.exitCode, 0, pub.errors)
    }
    const { exitCode, output } = await sub.ended
    t.equal(exitCode, 0)
    t.equal(output, 'a/0 0 hé 0\na/1 1 hé 1\na/2 2 hé 2\n')
  }
})

t.test('a persistent session keeps what comes while nobody is there', async (t) => {
  const { ws } = await startBroker(t, ['--data', `${t.testdir()}/data`])
  const session = ['sub', '--url', ws, '-i', 'keeper', '-c', '-t', 'a', '-q', '1']
  t.equal((await tallymq([...session, '-E'])).exitCode, 0)
  const lines = await tallymq(['pub', '--url', ws, '-t', 'a', '-q', '1', '-l', '--json'], {}, 'one\ntwo\nthree\n')
  t.same(JSON.parse(lines.output), { published: 3, topic: 'a', qos: 1 })
  t.equal((await tallymq([...session, '-C', '1'])).output, 'one\n')
  t.equal((await tallymq([...session, '-C', '2'])).output, 'two\nthree\n', '-C took no more than it printed')
})

t.test('retained messages are set, shown, and cleared', async (t) => {
  const { ws } = await startBroker(t, ['--store', 'memory'])
  await tallymq(['pub', '--url', ws, '-t', 'r/1', '-m', 'kept', '-r', '-q', '1'])
  const shown = await tallymq(['sub', '--url', ws, '-t', 'r/#', '-C', '1', '--json'])
  t.match(JSON.parse(shown.output), { topic: 'r/1', retain: 1, payload: 'kept' })
  await tallymq(['pub', '--url', ws, '-t', 'r/1', '-n', '-r', '-q', '1'])
  const cleared = await tallymq(['sub', '--url', ws, '-t', 'r/#', '-C', '1', '-W', '0.3'])
  t.equal(cleared.exitCode, 27)
  t.equal(cleared.output, '')
})

t.test('a wrong password is refused with exit code 5, and so is what the rules do not allow', async (t) => {
  const hash = (await tallymq(['passwd'], {}, 'right\n')).output.trim()
  const dir = t.testdir({
    'c.yaml': [
      'store: memory',
      'access:',
      '  mode: rules',
      '  users:',
      `    - { username: alice, passwordHash: '${hash}' }`,
      '  rules:',
      '    - { username: alice, action: publish, topicFilter: mine/#, effect: allow }',
    ].join('\n'),
  })
  const { ws, mqtt } = await startBroker(t, ['--config', `${dir}/c.yaml`])
  const alice = ['-u', 'alice', '-q', '1', '-m', 'x']
  for (const url of [ws, mqtt]) {
    const right = await tallymq(['pub', '--url', url, '-t', 'mine/1', ...alice], { TALLYMQ_PASSWORD: 'right' })
    t.equal(right.exitCode, 0, right.errors)
    const wrong = await tallymq(['pub', '--url', url, '-t', 'mine/1', ...alice, '-P', 'wrong'])
    t.equal(wrong.exitCode, 5)
    t.match(wrong.errors, /^tallymq: /)
    const forbidden = await tallymq(['pub', '--url', url, '-t', 'yours/1', ...alice, '-P', 'right'])
    t.equal(forbidden.exitCode, 5, forbidden.errors)
    const unreadable = await tallymq(['sub', '--url', url, '-t', 'mine/#', '-u', 'alice', '-P', 'right'])
    t.equal(unreadable.exitCode, 5)
  }
})

t.test('nobody listening is exit code 1, at once', async (t) => {
  for (const args of [
    ['pub', '-t', 'a', '-m', 'x'],
    ['sub', '-t', 'a'],
  ]) {
    // Port 1 is nobody's.
    const { exitCode, errors } = await tallymq([...args, '-p', '1'])
    t.equal(exitCode, 1)
    t.match(errors, /^tallymq: .*(refused|ECONNREFUSED)/i)
  }
})

t.test('a reader that goes away ends sub in good order', async (t) => {
  const { ws } = await startBroker(t, ['--store', 'memory'])
  const sub = startTallymq(['sub', '--url', ws, '-t', 'a', '-d'])
  await sub.saw(SUBSCRIBED)
  sub.child.stdout.destroy()
  const publishing = startTallymq([
    'pub',
    '--url',
    ws,
    '-t',
    'a',
    '-m',
    'x',
    '--repeat',
    '1000',
    '--repeat-delay',
    '0.01',
  ])
  const { exitCode, errors } = await sub.ended
  t.equal(exitCode, 0)
  t.notMatch(errors, /EPIPE|at .*\.js/)
  publishing.child.kill('SIGINT')
  await publishing.ended
})

t.test('sub comes back when the broker does', async (t) => {
  const directory = `${t.testdir()}/data`
  const first = await startBroker(t, ['--data', directory])
  const sub = startTallymq(['sub', '--url', first.ws, '-t', 'a', '-q', '1', '-i', 's', '-c', '-C', '1', '-d'])
  await sub.saw(SUBSCRIBED)
  first.cli.child.kill('SIGKILL')
  await first.cli.ended
  await sub.saw(/Connection lost/)
  const port = new URL(first.http).port
  await startBroker(t, ['--data', directory, '--http-port', port])
  await tallymq(['pub', '--url', first.ws, '-t', 'a', '-q', '1', '-m', 'after'])
  t.equal((await sub.ended).output, 'after\n')
})
