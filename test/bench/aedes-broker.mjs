/** aedes over WebSocket, in memory, as its README sets it up. */
import { createServer } from 'node:http'
import { Aedes } from 'aedes'
import { createWebSocketStream, WebSocketServer } from 'ws'

const aedes = await Aedes.createBroker({ queueLimit: 1_000_000, concurrency: 10_000 })
const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (socket, request) => aedes.handle(createWebSocketStream(socket), request))
server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`))
