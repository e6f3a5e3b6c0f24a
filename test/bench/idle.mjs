/**
 * Idle native sessions over WebSocket: memory each costs the broker, and what their heartbeats cost in CPU.
 *
 * npm run bench:idle [-- --connections 10000 --seconds 60]
 */
import { parseArgs } from 'node:util'
import { RawWebSocket } from './raw-websocket.mjs'
import { startTally, usage } from './targets.mjs'
import { native } from './wire-native.mjs'

const { values } = parseArgs({
  options: { connections: { type: 'string', default: '10000' }, seconds: { type: 'string', default: '60' } },
})
const connections = Number(values.connections)
const target = await startTally()
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
await wait(2_000)
const before = usage(target.pid)
const sockets = []
for (let index = 0; index < connections; index += 100) {
  const opened = []
  for (let offset = 0; offset < 100; offset += 1) {
    const connected = Promise.withResolvers?.() ?? deferred()
    const socket = new RawWebSocket({
      port: target.port,
      path: native.path,
      subprotocol: native.subprotocol,
      onPayload: () => connected.resolve(),
    })
    socket.opened.then(() => socket.send(native.connect(`idle-${index + offset}`, true)))
    sockets.push(socket)
    opened.push(connected.promise)
  }
  await Promise.all(opened)
}
await wait(5_000)
const loaded = usage(target.pid)
const from = { cpuSec: loaded.cpuSec, at: process.hrtime.bigint() }
await wait(Number(values.seconds) * 1_000)
const idle = usage(target.pid)
const seconds = Number(process.hrtime.bigint() - from.at) / 1e9
process.stdout.write(
  `${JSON.stringify({
    connections,
    rssPerConnectionBytes: Math.round((idle.rssBytes - before.rssBytes) / connections),
    anonPerConnectionBytes: Math.round((idle.anonBytes - before.anonBytes) / connections),
    idleCpuPercent: Number((((idle.cpuSec - from.cpuSec) / seconds) * 100).toFixed(2)),
    seconds: Math.round(seconds),
  })}\n`,
)
for (const { socket } of sockets) socket.destroy()
await target.stop()

function deferred() {
  let resolve
  const promise = new Promise((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
