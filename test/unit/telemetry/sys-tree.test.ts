/** The `$SYS` figures as text: names, what is said again, and loads that fade. */
import t from 'tap'
import { type SysFigures, SysTree } from '../../../src/telemetry/sys-tree.js'

const NOTHING: SysFigures = {
  clientsTotal: 0,
  clientsConnected: 0,
  clientsExpired: 0,
  packetsReceived: 0,
  packetsSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  publishesReceived: 0,
  publishesSent: 0,
  publishesDropped: 0,
  publishesUnflushed: 0,
  publishBytesReceived: 0,
  publishBytesSent: 0,
  socketsOpened: 0,
  socketsOpen: 0,
  connectionsAccepted: 0,
  storedMessages: 0,
  storedBytes: 0,
  retainedMessages: 0,
  subscriptions: 0,
  sharedSubscriptions: 0,
  heapBytes: 1_000,
}

function sysTree(intervalSec = 10) {
  const tree = new SysTree({ version: 'tallymq version 1.2.3', intervalSec, startedAtMs: 1_000 })
  const said = (nowMs: number, figures: Partial<SysFigures> = {}) => {
    const topics: Record<string, string> = {}
    tree.refresh({ ...NOTHING, ...figures }, nowMs, (topicName, text) => {
      topics[topicName.replace('$SYS/broker/', '')] = text
    })
    return topics
  }
  return { tree, said }
}

t.test('at first everything is said, then only what has changed', async (t) => {
  const { said } = sysTree()
  const first = said(1_000)
  t.match(first, { version: 'tallymq version 1.2.3', uptime: '0 seconds', 'retained messages/count': '0' })
  t.equal(Object.keys(first).length, 2 + 24 + 2 + 9 * 3)
  t.same(said(11_900, { subscriptions: 3 }), { uptime: '10 seconds', 'subscriptions/count': '3' })
  t.same(said(11_950, { subscriptions: 3 }), {}, 'nothing has changed')
})

t.test('it is due at the start and after each interval; with an interval of 0 never', async (t) => {
  const { tree, said } = sysTree(10)
  t.equal(tree.isDue(999), false)
  t.equal(tree.isDue(1_000), true)
  said(1_000)
  t.equal(tree.isDue(10_999), false)
  t.equal(tree.isDue(11_000), true)
  t.equal(sysTree(0).tree.isDue(Number.MAX_SAFE_INTEGER), false)
})

t.test('loads are per minute, faded over 1, 5 and 15 minutes', async (t) => {
  const { said } = sysTree()
  said(1_000)
  // 100 in ten seconds are 600 a minute; a window of one minute has taken up 1 - e^(-1/6) of it.
  const after10 = said(11_000, { publishesReceived: 100 })
  t.match(after10, {
    'load/publish/received/1min': '92.11',
    'load/publish/received/5min': '19.67',
    'load/publish/received/15min': '6.63',
    'publish/messages/received': '100',
  })
  const after70 = said(71_000, { publishesReceived: 100 })
  t.equal(after70['load/publish/received/1min'], '33.89', 'a minute of silence leaves 1/e of it')
})

t.test('maxima stay when what they were of goes', async (t) => {
  const { said } = sysTree()
  t.match(said(1_000, { clientsTotal: 5, clientsConnected: 2, heapBytes: 9 }), {
    'clients/maximum': '5',
    'clients/inactive': '3',
    'clients/active': '2',
    'heap/maximum': '9',
  })
  const later = said(11_000, { clientsTotal: 1, heapBytes: 3 })
  t.match(later, { 'clients/total': '1', 'heap/current': '3' })
  t.equal(later['clients/maximum'], undefined)
  t.equal(later['heap/maximum'], undefined)
})
