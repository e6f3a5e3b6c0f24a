/** The heartbeat on numbers alone, and through the shell with a socket that stops answering. */
import t, { type Test } from 'tap'
import {
  Heartbeat,
  type HeartbeatCause,
  type HeartbeatPeer,
  RESOLUTION_MS,
  TICK_MS,
} from '../../../src/server/heartbeat.js'
import { HEARTBEAT, PINGREQ, Rig } from '../../support/ws-rig.js'

class FakePeer implements HeartbeatPeer {
  phase: HeartbeatPeer['phase'] = 'connected'
  keepAliveWindowMs = Number.POSITIVE_INFINITY
  isReadingPaused = false
  isReauthenticating = false
  pendingBytes = 0
  takenBytes = 0
  hasPing = true
  readonly pingsMs: number[] = []
  readonly expiries: [HeartbeatCause, number][] = []
  nowMs = 0

  sendPing(): boolean {
    if (this.hasPing) this.pingsMs.push(this.nowMs)
    return this.hasPing
  }
  expired(cause: HeartbeatCause, nowMs: number): void {
    this.expiries.push([cause, nowMs])
    this.phase = 'closing'
  }
}

/** A heartbeat from time 0 on, ticking as the shell makes it tick. */
class Wheel {
  readonly heartbeat = new Heartbeat(HEARTBEAT)
  readonly peers: FakePeer[] = []
  nowMs = 0

  open(settings: Partial<FakePeer> = {}): { peer: FakePeer; slot: number } {
    const peer = Object.assign(new FakePeer(), settings)
    const slot = this.heartbeat.open(peer, this.nowMs)
    if (peer.phase === 'connected') this.heartbeat.changed(slot, this.nowMs)
    this.peers.push(peer)
    return { peer, slot }
  }

  passTo(ms: number, eachTick: () => void = () => {}): void {
    while (this.nowMs < ms) {
      this.nowMs += TICK_MS
      for (const peer of this.peers) peer.nowMs = this.nowMs
      eachTick()
      this.heartbeat.tick(this.nowMs)
    }
  }
}

function within(t: Test, actualMs: number | undefined, dueMs: number): void {
  t.ok(
    actualMs !== undefined && actualMs >= dueMs && actualMs <= dueMs + RESOLUTION_MS,
    `${actualMs} is about ${dueMs}`,
  )
}

t.test('a re-authentication has a deadline of its own, and Keep Alive goes on', async (t) => {
  const wheel = new Wheel()
  const { peer, slot } = wheel.open({ hasPing: false, keepAliveWindowMs: 60_000 })
  wheel.passTo(20_000)
  peer.isReauthenticating = true
  wheel.heartbeat.changed(slot, wheel.nowMs)
  const busy = () => wheel.heartbeat.packetReceived(slot, wheel.nowMs)
  wheel.passTo(20_000 + HEARTBEAT.connectTimeoutMs - TICK_MS, busy)
  t.same(peer.expiries, [])
  wheel.passTo(30_000, busy)
  t.equal(peer.expiries[0]?.[0], 'authentication', 'other packets do not put it off')
  within(t, peer.expiries[0]?.[1], 20_000 + HEARTBEAT.connectTimeoutMs)
})

t.test('a re-authentication that ends in time, or waits for us, does not expire', async (t) => {
  for (const change of [{ isReauthenticating: false }, { isReadingPaused: true }]) {
    const wheel = new Wheel()
    const { peer, slot } = wheel.open({ hasPing: false, isReauthenticating: true })
    wheel.heartbeat.changed(slot, 0)
    wheel.passTo(HEARTBEAT.connectTimeoutMs / 2)
    Object.assign(peer, change)
    wheel.heartbeat.changed(slot, wheel.nowMs)
    wheel.passTo(20 * HEARTBEAT.connectTimeoutMs)
    t.same(peer.expiries, [])
  }
})

t.test('who sends no CONNECT in time expires', async (t) => {
  const wheel = new Wheel()
  const { peer } = wheel.open({ phase: 'awaiting-connect' })
  wheel.passTo(4_950)
  t.same(peer.expiries, [])
  wheel.passTo(6_000)
  t.equal(peer.expiries.length, 1)
  t.equal(peer.expiries[0]?.[0], 'connect')
  within(t, peer.expiries[0]?.[1], 5_000)
})

t.test('Keep Alive counts packets, not bytes and not pongs', async (t) => {
  const wheel = new Wheel()
  const { peer, slot } = wheel.open({ keepAliveWindowMs: 3_000 })
  wheel.passTo(2_000)
  wheel.heartbeat.packetReceived(slot, 2_000)
  wheel.passTo(9_000, () => {
    if (wheel.nowMs <= 4_500) wheel.heartbeat.heard(slot, wheel.nowMs)
  })
  t.equal(peer.expiries[0]?.[0], 'keep-alive')
  within(t, peer.expiries[0]?.[1], 5_000)
})

t.test('a peer that does not answer a ping is found within the configured time', async (t) => {
  const wheel = new Wheel()
  const { peer } = wheel.open()
  wheel.passTo(60_000)
  t.equal(peer.pingsMs.length, 1)
  t.ok((peer.pingsMs[0] as number) <= HEARTBEAT.pingIntervalMs + RESOLUTION_MS)
  t.equal(peer.expiries[0]?.[0], 'ping')
  within(t, peer.expiries[0]?.[1], (peer.pingsMs[0] as number) + HEARTBEAT.pongTimeoutMs)
})

t.test('a peer that answers lives, and its round-trip time is kept', async (t) => {
  const wheel = new Wheel()
  const { peer, slot } = wheel.open()
  t.equal(wheel.heartbeat.roundTrip(slot), null)
  let answered = 0
  wheel.passTo(300_000, () => {
    const askedMs = peer.pingsMs[answered]
    if (askedMs === undefined || wheel.nowMs < askedMs + 100) return
    answered += 1
    wheel.heartbeat.ponged(slot, askedMs + 100)
  })
  t.same(peer.expiries, [])
  t.ok(answered >= 9)
  t.same(wheel.heartbeat.roundTrip(slot), { lastMs: 100, smoothedMs: 100 })
  wheel.heartbeat.ponged(slot, wheel.nowMs)
  t.equal(wheel.heartbeat.roundTrip(slot)?.lastMs, 100, 'a pong that nobody asked for says nothing')
})

t.test('who talks is not pinged', async (t) => {
  const wheel = new Wheel()
  const { peer, slot } = wheel.open()
  wheel.passTo(120_000, () => wheel.heartbeat.heard(slot, wheel.nowMs))
  t.same(peer.pingsMs, [])
})

t.test('anything heard after a ping answers it', async (t) => {
  const wheel = new Wheel()
  const { peer, slot } = wheel.open()
  wheel.passTo(300_000, () => {
    if (wheel.nowMs === (peer.pingsMs.at(-1) ?? 0) + 5_000) wheel.heartbeat.heard(slot, wheel.nowMs)
  })
  t.same(peer.expiries, [])
  t.ok(peer.pingsMs.length > 3)
})

t.test('a transport without pings has its Keep Alive only', async (t) => {
  const wheel = new Wheel()
  const { peer } = wheel.open({ hasPing: false })
  wheel.passTo(300_000)
  t.same(peer.expiries, [])
})

t.test('a peer that takes no bytes is a slow consumer, one that takes few is not', async (t) => {
  const wheel = new Wheel()
  const [stuck, slow] = [wheel.open({ hasPing: false }), wheel.open({ hasPing: false })]
  for (const { peer, slot } of [stuck, slow]) {
    peer.pendingBytes = 1_000_000
    wheel.heartbeat.writePending(slot, 0)
  }
  wheel.passTo(120_000, () => {
    if (wheel.nowMs % 20_000 === 0) slow.peer.takenBytes += 1
  })
  t.equal(stuck.peer.expiries[0]?.[0], 'write')
  within(t, stuck.peer.expiries[0]?.[1], 30_000)
  t.same(slow.peer.expiries, [])
  slow.peer.pendingBytes = 0
  wheel.passTo(300_000)
  t.same(slow.peer.expiries, [], 'and nothing is pending any more')
})

t.test('a ping behind bytes that wait does not count as asked', async (t) => {
  const wheel = new Wheel()
  const { peer, slot } = wheel.open()
  wheel.passTo(300_000, () => {
    if (peer.pingsMs.length === 0) return
    peer.pendingBytes = 1_000
    peer.takenBytes += 1
    wheel.heartbeat.writePending(slot, wheel.nowMs)
  })
  t.same(peer.expiries, [])
})

t.test('silence of a peer that is not being read says nothing', async (t) => {
  const wheel = new Wheel()
  const { peer, slot } = wheel.open({ keepAliveWindowMs: 1_500, isReadingPaused: true })
  wheel.passTo(200_000)
  t.same(peer.expiries, [])
  peer.isReadingPaused = false
  wheel.heartbeat.changed(slot, 200_000)
  wheel.passTo(205_000)
  within(t, peer.expiries[0]?.[1], 201_500)
})

t.test('a close that does not end expires', async (t) => {
  const wheel = new Wheel()
  const { peer, slot } = wheel.open()
  wheel.passTo(1_000)
  peer.phase = 'closing'
  wheel.heartbeat.closing(slot, 1_000)
  wheel.passTo(4_000)
  t.equal(peer.expiries[0]?.[0], 'close')
  within(t, peer.expiries[0]?.[1], 3_000)
})

t.test('first pings of connections opened together are spread over half an interval', async (t) => {
  const wheel = new Wheel()
  for (let index = 0; index < 1_000; index += 1) wheel.open()
  const perTick = new Map<number, number>()
  wheel.passTo(31_000)
  for (const peer of wheel.peers) {
    const atMs = peer.pingsMs[0] as number
    perTick.set(atMs, (perTick.get(atMs) ?? 0) + 1)
  }
  t.ok(perTick.size > 100, `${perTick.size} different moments`)
  t.ok(Math.max(...perTick.values()) <= 10)
})

t.test('slots are used again and carry nothing over', async (t) => {
  const wheel = new Wheel()
  const first = wheel.open()
  wheel.heartbeat.writePending(first.slot, 0)
  wheel.heartbeat.close(first.slot)
  const second = wheel.open()
  t.equal(second.slot, first.slot)
  t.equal(wheel.heartbeat.roundTrip(second.slot), null)
  wheel.passTo(29_000)
  t.same(first.peer.pingsMs, [])
  t.same(second.peer.expiries, [])
})

t.test("through the shell: a half-open peer is closed with 3012 and its Will is the core's to send", async (t) => {
  const rig = new Rig()
  rig.shell.start()
  const { socket } = rig.open()
  rig.pass(HEARTBEAT.pingIntervalMs + HEARTBEAT.pongTimeoutMs + 500)
  t.equal(socket.pings, 1)
  t.equal(socket.ended?.closeCode, 3012)
  t.match(rig.core.log[0], /closed: half-open/)
  rig.pass(HEARTBEAT.closeTimeoutMs + 500)
  t.ok(socket.isDestroyed)
  rig.shell.stop()
})

t.test('through the shell: no CONNECT, no Keep Alive, no progress', async (t) => {
  const rig = new Rig()
  rig.shell.start()
  const silent = rig.open({ isConnected: false })
  rig.pass(5_500)
  t.same(rig.core.log.splice(0), ['connect-timed-out'])
  t.equal(silent.socket.ended?.closeCode, 3014)

  const sleepy = rig.open({ keepAliveSec: 10 })
  rig.pass(10_000)
  sleepy.connection.received(PINGREQ)
  rig.pass(14_000)
  t.equal(sleepy.socket.ended, null)
  rig.pass(1_500)
  t.same(rig.core.log.splice(0), ['overdue'])

  const frozen = rig.open()
  frozen.socket.takesBytes = false
  frozen.client.link.send({ type: 13 })
  rig.pass(31_000)
  t.ok(frozen.socket.isDestroyed)
  t.match(rig.core.log[0], /closed: slow consumer/)
  rig.shell.stop()
})
