/** MQTT over WebSocket: frames, subprotocol. With nothing but TCP URLs these cases have nothing to test. */
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { connect, PINGREQ, publish, subscribe } from '../wire/bytes.js'
import type { Client } from '../wire/client.js'
import { TYPE } from '../wire/decode.js'
import { OPCODE } from '../wire/stream.js'

async function open(c: Context, subprotocols: readonly string[] = ['mqtt']): Promise<Client> {
  return c.open(c.webSocketUrl ?? vacuous('needs a WebSocket URL: --url ws://…'), subprotocols)
}

const connectBytes = (c: Context, client: Client) => client.connectBytes({ clientId: c.id() })

export const webSockets: readonly Case[] = [
  {
    title: 'a text frame ends the connection',
    v5: '6.0.0-1',
    v311: '6.0.0-1',
    run: async (c) => {
      const client = await open(c)
      // Well-formed as text, too: only the opcode is wrong.
      client.webSocket.frame(OPCODE.text, connect(c.version, { clientId: c.id() }))
      await client.closed()
      expectSame(client.inbox.length, 0, 'answers to a text frame')
      const { closeCode } = client.webSocket
      if (closeCode !== 1003) c.remark(`close code ${closeCode}, 1003 was to be expected`)
    },
  },
  {
    title: 'a text frame ends the connection after CONNACK, too',
    v5: '6.0.0-1',
    v311: '6.0.0-1',
    run: async (c) => {
      const client = await open(c)
      await client.connect({ clientId: c.id() })
      client.webSocket.frame(OPCODE.text, Buffer.from('text'))
      await client.closed()
      expectSame(client.waiting(TYPE.pingresp).length, 0, 'PINGRESPs')
    },
  },
  {
    title: 'all frames of the broker are binary',
    v5: '6.0.0-1',
    v311: '6.0.0-1',
    run: async (c) => {
      const client = await open(c)
      await client.connect({ clientId: c.id() })
      await client.subscribe(c.topic(), 1)
      await client.publish(c.topic(), 'x'.repeat(70_000), { qos: 1 })
      await client.message()
      const isData = (opcode: number) => opcode === OPCODE.binary || opcode === OPCODE.continuation
      expect(client.webSocket.opcodes.every(isData), `opcodes ${client.webSocket.opcodes}`)
    },
  },
  {
    title: 'a packet may come in many frames',
    v5: '6.0.0-2',
    v311: '6.0.0-2',
    run: async (c) => {
      const client = await open(c)
      for (const byte of connectBytes(c, client)) client.webSocket.frame(OPCODE.binary, Uint8Array.of(byte))
      expectSame((await client.take(TYPE.connack)).code, 0, 'CONNACK')
      // In the middle of the Remaining Length, and of the payload.
      await client.subscribe(c.topic())
      const sent = publish(c.version, c.topic(), 'y'.repeat(300))
      for (const [from, to] of [
        [0, 2],
        [2, 100],
        [100, sent.length],
      ] as const) {
        client.webSocket.frame(OPCODE.binary, sent.subarray(from, to))
      }
      expectSame((await client.message()).payload.length, 300, 'payload')
    },
  },
  {
    title: 'many packets may come in one frame, and end in the middle of one',
    v5: '6.0.0-2',
    v311: '6.0.0-2',
    run: async (c) => {
      const client = await open(c)
      const all = Buffer.concat([
        connectBytes(c, client),
        subscribe(c.version, 3, [[c.topic(), 0]]),
        PINGREQ,
        publish(c.version, c.topic(), 'z'),
      ])
      client.webSocket.frame(OPCODE.binary, all.subarray(0, -1))
      await client.take(TYPE.pingresp)
      client.webSocket.frame(OPCODE.binary, all.subarray(-1))
      await client.message(c.topic())
    },
  },
  {
    title: 'a fragmented message is one, and empty frames are nothing',
    v5: '6.0.0-2',
    v311: '6.0.0-2',
    run: async (c) => {
      const client = await open(c)
      const sent = connectBytes(c, client)
      const { webSocket } = client
      webSocket.frame(OPCODE.binary, new Uint8Array(0))
      webSocket.frame(OPCODE.binary, sent.subarray(0, 3), false)
      webSocket.frame(OPCODE.ping, Buffer.from('in between'))
      webSocket.frame(OPCODE.continuation, sent.subarray(3, 7), false)
      webSocket.frame(OPCODE.continuation, new Uint8Array(0), false)
      webSocket.frame(OPCODE.continuation, sent.subarray(7))
      webSocket.frame(OPCODE.binary, new Uint8Array(0))
      expectSame((await client.take(TYPE.connack)).code, 0, 'CONNACK')
      await client.ping()
    },
  },
  {
    title: 'the subprotocol that is chosen is mqtt',
    v5: '6.0.0-4',
    v311: '6.0.0-4',
    run: async (c) => {
      for (const offer of [['mqtt'], ['foo', 'mqtt']]) {
        const client = await open(c, offer)
        expectSame(client.webSocket.subprotocol, 'mqtt', `subprotocol for ${offer}`)
        await client.connect({ clientId: c.id() })
      }
    },
  },
]
