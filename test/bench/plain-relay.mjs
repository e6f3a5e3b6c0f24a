/** What `ws` users write first: one `ws.send` per message and subscriber. The yardstick of the native benchmark. */
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const server = createServer()
const clients = new Set()
const relay = new WebSocketServer({ server, perMessageDeflate: false })
relay.on('connection', (socket) => {
  clients.add(socket)
  socket.on('close', () => clients.delete(socket))
  socket.on('message', (data, isBinary) => {
    for (const client of clients) if (client !== socket) client.send(data, { binary: isBinary })
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`))
