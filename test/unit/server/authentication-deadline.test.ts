/** Nobody is authenticated for ever: a client that stops, an access adapter that never answers, or that breaks. */
import t from 'tap'
import type { AuthenticationStep } from '../../../src/core/ports/access.js'
import { PacketType } from '../../../src/protocol/packets.js'
import { CONNECT, HEARTBEAT, Rig } from '../../support/ws-rig.js'

/** Reason code 0x19, method "m". */
const AUTH = Uint8Array.from([0xf0, 6, 0x19, 4, 0x15, 0, 1, 109])
const PATIENCE_MS = 6 * HEARTBEAT.connectTimeoutMs

/** A connection whose CONNECT has come and is being looked into, and what the core is told about it. */
function authenticating({ isReading }: { isReading: boolean }) {
  const rig = new Rig()
  rig.shell.start()
  const steps: AuthenticationStep[] = []
  rig.core.authenticated = (_client: unknown, step: AuthenticationStep) => void steps.push(step)
  const peer = rig.open({ isConnected: false })
  rig.core.onPacket = (self, packet) => {
    if (packet.type !== PacketType.CONNECT) return
    self.state = 'authenticating'
    if (!isReading) self.link.pauseReading()
  }
  peer.connection.received(CONNECT)
  rig.settle()
  return { rig, steps, ...peer }
}
const moment = () => new Promise<void>((resolve) => setImmediate(resolve))

t.test('a client that does not go on with its handshake has as long as it had for CONNECT', async (t) => {
  const { rig } = authenticating({ isReading: true })
  rig.pass(HEARTBEAT.connectTimeoutMs - 100)
  t.same(rig.core.log, [])
  rig.pass(500)
  t.same(rig.core.log, ['connect-timed-out'])
  rig.shell.stop()
})

t.test('a re-authentication has as long, step by step', async (t) => {
  const rig = new Rig()
  rig.shell.start()
  const { connection, client } = rig.open()
  rig.pass(2 * HEARTBEAT.connectTimeoutMs)
  rig.core.onPacket = (self) => {
    self.isReauthenticating = true
  }
  for (let step = 0; step < 2; step += 1) {
    connection.received(AUTH)
    rig.pass(HEARTBEAT.connectTimeoutMs - 300)
    t.same(rig.core.log, [])
  }
  rig.pass(1_000)
  t.same(rig.core.log, ['connect-timed-out'])
  t.equal(client.isReauthenticating, true)
  rig.shell.stop()
})

t.test('while the answer is ours to give the client is not late; then it gets its time anew', async (t) => {
  const { rig, client } = authenticating({ isReading: false })
  rig.pass(3 * HEARTBEAT.connectTimeoutMs)
  t.same(rig.core.log, [])
  client.link.resumeReading()
  rig.pass(HEARTBEAT.connectTimeoutMs - 300)
  t.same(rig.core.log, [])
  rig.pass(1_000)
  t.same(rig.core.log, ['connect-timed-out'])
  rig.shell.stop()
})

t.test('an answer that never comes is a refusal 0x88', async (t) => {
  const { rig, client, steps } = authenticating({ isReading: false })
  rig.shell.authenticating(client, new Promise(() => undefined))
  rig.pass(PATIENCE_MS - 100)
  t.same(steps, [])
  rig.pass(200)
  t.match(steps, [{ accepted: false, reasonCode: 0x88 }])
  rig.shell.stop()
})

t.test('an answer in time stops the clock; one that breaks is a refusal', async (t) => {
  for (const [answer, step] of [
    [() => Promise.resolve({ accepted: true, username: 'a' } as const), { accepted: true }],
    [() => Promise.reject(new Error('no token service')), { accepted: false, reasonCode: 0x88 }],
  ] as const) {
    const { rig, client, steps } = authenticating({ isReading: false })
    const before = rig.timers.pendingTimers
    rig.shell.authenticating(client, answer())
    await moment()
    t.match(steps, [step])
    t.equal(rig.timers.pendingTimers, before)
    rig.pass(PATIENCE_MS + 100)
    t.equal(steps.length, 1)
    t.notMatch(JSON.stringify(steps), 'no token service')
    rig.shell.stop()
  }
})
