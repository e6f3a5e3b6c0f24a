/** mosquitto_pub and mosquitto_sub as everybody's shell scripts use them, in both versions of MQTT. */
import t from 'tap'
import { connect } from '../../src/client/index.js'
import { CliProcess } from '../support/cli-process.js'
import { needs } from '../support/peers.js'
import { Inbox } from '../support/peers-inbox.js'
import { MESSAGE, MosquittoSub, type MosquittoVersion, mosquittoPub, PROPERTIES } from '../support/peers-mosquitto.js'
import { startBroker } from '../support/ws-clients.js'

const peer = needs('mosquitto_sub')
const portOf = ({ mqttUrl }: { mqttUrl: string | null }) => new URL(mqttUrl as string).port
const VERSIONS: readonly MosquittoVersion[] = ['mqttv311', 'mqttv5']
const LEVELS = ['0', '1', '2'] as const

for (const version of VERSIONS) {
  t.test(`${version}: each QoS arrives with the lower of the two that were asked for`, peer, async (t) => {
    const port = portOf(await startBroker(t))
    const subs = await Promise.all(
      LEVELS.map((qos) => MosquittoSub.start(t, port, version, ['-t', 'a/+', '-q', qos, '-C', '3'])),
    )
    for (const qos of LEVELS) await mosquittoPub(port, version, ['-t', `a/${qos}`, '-m', `m${qos}`, '-q', qos])
    for (const [granted, sub] of subs.entries()) {
      t.equal((await sub.ended).exitCode, 0)
      t.same(
        sub.lines.items,
        [0, 1, 2].map((qos) => `${Math.min(qos, granted)}|0|a/${qos}|m${qos}`),
      )
    }
  })

  t.test(`${version}: a file of lines, QoS 2, in order`, peer, async (t) => {
    const port = portOf(await startBroker(t))
    const sub = await MosquittoSub.start(t, port, version, ['-t', 'lines', '-q', '2', '-C', '500'], '%p')
    const lines = Array.from({ length: 500 }, (_, index) => `line ${index} é`)
    const file = `${t.testdir({ input: `${lines.join('\n')}\n` })}/input`
    const target = ['-h', '127.0.0.1', '-p', port, '-V', version]
    const pub = new CliProcess('sh', [
      '-c',
      `exec mosquitto_pub "$@" < "${file}"`,
      'sh',
      ...target,
      '-t',
      'lines',
      '-q',
      '2',
      '-l',
    ])
    t.equal((await pub.ended).exitCode, 0)
    t.equal((await sub.ended).exitCode, 0)
    t.same(sub.lines.items, lines)
  })

  t.test(
    `${version}: retained messages come to who subscribes later, and an empty one removes them`,
    peer,
    async (t) => {
      const port = portOf(await startBroker(t))
      const publish = (topicName: string, ...args: string[]) =>
        mosquittoPub(port, version, ['-t', topicName, '-r', '-q', '1', ...args])
      await publish('state/1', '-m', 'on')
      await publish('state/2', '-m', 'off')
      await publish('state/1', '-n')
      const sub = await MosquittoSub.start(t, port, version, ['-t', 'state/#', '-q', '1'])
      t.same(await sub.lines.count(1), ['1|1|state/2|off'])
      await publish('state/1', '-m', 'on again')
      t.same(await sub.lines.count(2), ['1|1|state/2|off', '1|0|state/1|on again'])
    },
  )

  t.test(`${version}: -c keeps what comes while it is away`, peer, async (t) => {
    const port = portOf(await startBroker(t))
    const session = ['-i', 'keeper', '-c', '-t', 'kept/#', '-q', '2']
    const first = await MosquittoSub.start(t, port, version, [...session, '-E'])
    t.equal((await first.ended).exitCode, 0)
    for (const qos of LEVELS) await mosquittoPub(port, version, ['-t', `kept/${qos}`, '-m', qos, '-q', qos])
    // QoS 0 is not kept: whether a broker does is its own choice, and this one says no.
    const second = await MosquittoSub.start(t, port, version, [...session, '-C', '2'])
    await second.ended
    t.same(second.lines.items, ['1|0|kept/1|1', '2|0|kept/2|2'])
  })

  t.test(`${version}: the Will of a killed client is published, that of a polite one is not`, peer, async (t) => {
    const port = portOf(await startBroker(t))
    const watcher = await MosquittoSub.start(t, port, version, ['-t', 'will/#', '-q', '1'])
    const will = (topicName: string) => ['--will-topic', topicName, '--will-payload', 'gone', '--will-qos', '1']
    const polite = await MosquittoSub.start(t, port, version, ['-t', 'x', '-E', ...will('will/polite')])
    await polite.ended
    const killed = await MosquittoSub.start(t, port, version, ['-t', 'x', ...will('will/killed'), '--will-retain'])
    await killed.kill()
    t.same(await watcher.lines.count(1), ['1|0|will/killed|gone'])
    const late = await MosquittoSub.start(t, port, version, ['-t', 'will/killed', '-q', '1'])
    t.same(await late.lines.count(1), ['1|1|will/killed|gone'])
  })

  t.test(`${version}: a share group gets each message once`, peer, async (t) => {
    const port = portOf(await startBroker(t))
    const done = new Inbox<string>()
    for (const index of [0, 1, 2]) {
      const filter = ['-t', '$share/workers/job/+', '-q', '1', '-i', `worker-${index}`]
      await MosquittoSub.start(t, port, version, filter, '%t', done)
    }
    const topicNames = Array.from({ length: 30 }, (_, index) => `job/${index}`)
    for (const topicName of topicNames) await mosquittoPub(port, version, ['-t', topicName, '-m', 'x', '-q', '1'])
    t.same([...(await done.count(30))].sort(), topicNames.sort())
    // A second copy of anything would stand before these: the group takes turns, so each member gets one.
    for (const topicName of ['job/end-1', 'job/end-2', 'job/end-3']) {
      await mosquittoPub(port, version, ['-t', topicName, '-m', 'x', '-q', '1'])
    }
    t.same([...(await done.count(33))].slice(30).sort(), ['job/end-1', 'job/end-2', 'job/end-3'])
  })
}

t.test('mqttv5: properties arrive as they were sent, user properties in order with repeats', peer, async (t) => {
  const port = portOf(await startBroker(t))
  const sub = await MosquittoSub.start(t, port, 'mqttv5', ['-t', 'p', '-q', '2'], PROPERTIES)
  const property = (...words: string[]) => ['-D', 'publish', ...words]
  const properties = [
    ...property('content-type', 'application/json'),
    ...property('response-topic', 'answers/1'),
    ...property('correlation-data', 'order 66'),
    ...property('user-property', 'a', '1'),
    ...property('user-property', 'b', '2'),
    ...property('user-property', 'a', '3'),
    ...property('message-expiry-interval', '1000'),
    ...property('payload-format-indicator', '1'),
  ]
  await mosquittoPub(port, 'mqttv5', ['-t', 'p', '-m', '{}', '-q', '2', ...properties])
  await mosquittoPub(port, 'mqttv5', ['-t', 'p', '-m', 'bare', '-q', '0'])
  t.same(await sub.lines.count(2), [
    '2|0|p|{}|application/json|answers/1|order 66|a:1 b:2 a:3|1000|1',
    '0|0|p|bare||||||',
  ])
})

t.test('mqttv5: a Will has properties of its own and waits for its delay', peer, async (t) => {
  const port = portOf(await startBroker(t))
  const watcher = await MosquittoSub.start(t, port, 'mqttv5', ['-t', 'will', '-q', '1'], PROPERTIES)
  const will = ['--will-topic', 'will', '--will-payload', 'gone', '--will-qos', '1']
  const properties = ['-D', 'will', 'content-type', 'text/plain', '-D', 'will', 'response-topic', 'r']
  const delay = ['-D', 'will', 'will-delay-interval', '1', '-x', '60', '-c', '-i', 'mortal']
  const user = ['-D', 'will', 'user-property', 'cause', 'kill']
  const mortal = await MosquittoSub.start(t, port, 'mqttv5', ['-t', 'x', ...will, ...properties, ...user, ...delay])
  const killedAt = performance.now()
  await mortal.kill()
  t.same(await watcher.lines.count(1), ['1|0|will|gone|text/plain|r||cause:kill||'])
  t.ok(performance.now() - killedAt >= 900, 'not before its delay is over')
})

t.test('mqttv5: mosquitto_rr asks, the native protocol answers where it was asked to', peer, async (t) => {
  const broker = await startBroker(t)
  const native = await connect({ url: broker.httpUrl.replace('http', 'ws') })
  t.teardown(() => native.close())
  await native.subscribe('questions', {
    qos: 1,
    onMessage: async (message) => {
      const { responseTopic = '', correlationData } = message.properties
      const answer = correlationData === undefined ? {} : { correlationData }
      await native.publish(responseTopic, `not ${message.text()}`, { qos: 1, properties: answer })
    },
  })
  const question = [
    '-V',
    'mqttv5',
    '-q',
    '1',
    '-t',
    'questions',
    '-e',
    'answers/7',
    '-m',
    '42',
    '-W',
    '5',
    '-F',
    '%p|%D',
  ]
  const properties = ['-D', 'publish', 'correlation-data', 'seven']
  const target = ['-h', '127.0.0.1', '-p', portOf(broker)]
  const { exitCode, output } = await new CliProcess('mosquitto_rr', [...target, ...question, ...properties]).ended
  t.same([exitCode, output], [0, 'not 42|seven\n'])
})

t.test('mqttv31: where the broker is told to accept it, the old ones are served too', peer, async (t) => {
  const port = portOf(await startBroker(t, { mqtt: { acceptMqtt31: true } }))
  const sub = await MosquittoSub.start(t, port, 'mqttv31', ['-i', 'old', '-t', 'a/+', '-q', '2'])
  for (const qos of LEVELS) await mosquittoPub(port, 'mqttv31', ['-i', 'pub', '-t', `a/${qos}`, '-m', 'x', '-q', qos])
  t.same(await sub.lines.count(3), ['0|0|a/0|x', '1|0|a/1|x', '2|0|a/2|x'])
})

t.test('what MQTT 5 sent reaches MQTT 3.1.1 without its properties, and the other way round', peer, async (t) => {
  const port = portOf(await startBroker(t))
  const old = await MosquittoSub.start(t, port, 'mqttv311', ['-t', 'x', '-q', '2'], MESSAGE)
  const young = await MosquittoSub.start(t, port, 'mqttv5', ['-t', 'x', '-q', '2'], PROPERTIES)
  await mosquittoPub(port, 'mqttv5', ['-t', 'x', '-m', 'new', '-q', '2', '-D', 'publish', 'content-type', 'c'])
  // mosquitto_sub shows a QoS 2 message at its PUBREL: one at QoS 1 that comes meanwhile would stand before it.
  await Promise.all([old.lines.count(1), young.lines.count(1)])
  await mosquittoPub(port, 'mqttv311', ['-t', 'x', '-m', 'old', '-q', '1'])
  t.same(await old.lines.count(2), ['2|0|x|new', '1|0|x|old'])
  t.same(await young.lines.count(2), ['2|0|x|new|c|||||', '1|0|x|old||||||'])
})
