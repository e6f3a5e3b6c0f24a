/** What `ws` users write first: one `ws.send` per message and subscriber. The yardstick where no broker is compared. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

const server = createServer()
const clients = new Set<WebSocket>()
const relay = new WebSocketServer({ server, perMessageDeflate: false })
relay.on('connection', (socket) => {
  clients.add(socket)
  socket.on('close', () => clients.delete(socket))
  socket.on('message', (data, isBinary) => {
    for (const client of clients) if (client !== socket) client.send(data, { binary: isBinary })
  })
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  // It speaks no MQTT; the port stands for both, so that all scripts are started alike.
  process.stdout.write(`${JSON.stringify({ http: `http://127.0.0.1:${port}`, mqtt: `mqtt://127.0.0.1:${port}` })}\n`)
})
