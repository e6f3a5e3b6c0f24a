/** `$SYS/clients/{clientId}/online` and `offline`. */
import t from 'tap'
import { ALLOW_ALL, type TestBrokerOptions, type TestClient, testBroker } from '../support/test-broker.js'

function watching(options: TestBrokerOptions = {}) {
  const host = testBroker({ presence: true, ...options })
  const watcher = host.connect('watcher').subscribe('$SYS/clients/+/+')
  return { host, watcher }
}

const eventsOf = (watcher: TestClient): Record<string, unknown>[] =>
  watcher.take('PUBLISH').map(({ topicName, payload }) => ({
    topicName,
    ...(JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>),
  }))

t.test('who comes and goes is told, with time and reason', async (t) => {
  const { host, watcher } = watching()
  const client = host.connect('a', { username: 'ann' })
  const atMs = host.clock.nowMs()
  t.same(eventsOf(watcher), [
    { topicName: '$SYS/clients/a/online', clientId: 'a', username: 'ann', atMs, remoteAddress: '127.0.0.1' },
  ])
  client.cut()
  t.match(eventsOf(watcher), [
    { topicName: '$SYS/clients/a/offline', clientId: 'a', username: 'ann', atMs, detail: 'connection reset' },
  ])
})

t.test('each way of leaving is told once', async (t) => {
  const { host, watcher } = watching()
  const ends: readonly ((client: TestClient) => void)[] = [
    (client) => client.disconnect(0),
    (client) => host.core.overdue(client.connection, host.clock.nowMs()),
    (client) => client.send({ type: 2, sessionPresent: false, reasonCode: 0, properties: {} }),
  ]
  for (const end of ends) {
    const client = host.connect('a')
    end(client)
    host.settle()
    t.same(
      eventsOf(watcher).map(({ topicName }) => topicName),
      ['$SYS/clients/a/online', '$SYS/clients/a/offline'],
    )
  }
})

t.test('a takeover is offline, then online', async (t) => {
  const { host, watcher } = watching()
  host.resume('a')
  eventsOf(watcher)
  host.resume('a')
  t.same(
    eventsOf(watcher).map(({ topicName }) => topicName),
    ['$SYS/clients/a/offline', '$SYS/clients/a/online'],
  )
})

t.test('a client identifier that is no topic level is encoded', async (t) => {
  const { host, watcher } = watching()
  host.connect('a/b+#')
  t.same(
    eventsOf(watcher).map(({ topicName, clientId }) => [topicName, clientId]),
    [['$SYS/clients/a%2Fb%2B%23/online', 'a/b+#']],
  )
})

t.test('who is refused was never there', async (t) => {
  const { host, watcher } = watching({
    access: {
      ...ALLOW_ALL,
      authenticate: ({ connect }) =>
        connect.clientId === 'watcher'
          ? { accepted: true, username: null }
          : { accepted: false, reasonCode: 0x87, detail: 'not you' },
    },
  })
  host.connect('a')
  t.same(eventsOf(watcher), [])
})

t.test('# does not show it, and without the option there is none', async (t) => {
  const { host } = watching()
  const everything = host.connect('everything').subscribe('#')
  host.connect('a').cut()
  t.same(everything.take('PUBLISH'), [])
  const quiet = testBroker()
  const watcher = quiet.connect('watcher').subscribe('$SYS/#')
  quiet.connect('a').cut()
  t.same(watcher.take('PUBLISH'), [])
})

t.test('presence is asked for like any delivery', async (t) => {
  const { host, watcher } = watching({
    access: {
      ...ALLOW_ALL,
      allowsEverything: false,
      authorize: (_who, action, topic) => action !== 'receive' || !topic.includes('secret'),
    },
  })
  host.connect('secret')
  host.connect('open')
  t.same(
    eventsOf(watcher).map(({ clientId }) => clientId),
    ['open'],
  )
})
