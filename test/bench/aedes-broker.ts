/** aedes over TCP and WebSocket, in memory, as its README sets it up. Prints its addresses as ours does. */
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'
import { createWebSocketStream, WebSocketServer } from 'ws'

const aedes = await Aedes.createBroker({ queueLimit: 1_000_000, concurrency: 10_000 })
const tcp = createServer((socket) => {
  socket.setNoDelay(true)
  aedes.handle(socket)
})
const http = createHttpServer()
const sockets = new WebSocketServer({ server: http, perMessageDeflate: false })
sockets.on('connection', (socket, request) => aedes.handle(createWebSocketStream(socket), request))
tcp.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  http.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
    const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port
    const ready = { http: `http://127.0.0.1:${portOf(http)}`, mqtt: `mqtt://127.0.0.1:${portOf(tcp)}` }
    process.stdout.write(`${JSON.stringify(ready)}\n`)
  })
})
