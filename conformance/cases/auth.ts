/**
 * MQTT 5.0 enhanced authentication: without a method, with an unknown one, and with SCRAM where the broker has it
 * (`--auth-method SCRAM-SHA-256`, with --user and --password).
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import type { Case, Context } from '../context.js'
import { expect, expectSame, vacuous } from '../outcome.js'
import { auth, P, type Properties, publish } from '../wire/bytes.js'
import { type Client, hexCode } from '../wire/client.js'
import { describe, type Packet, propertyOf, TYPE } from '../wire/decode.js'
import { ASKING, leavesOut } from './sizes.js'

const CONTINUE = 0x18
const AGAIN = 0x19

/** The client side of SCRAM [RFC 5802], as far as an honest client needs it. */
class Scram {
  readonly method: string
  readonly #hash: string
  readonly #bare: string
  readonly #nonce = randomBytes(18).toString('base64')
  readonly #password: string

  constructor(method: string, username: string, password: string) {
    this.method = method
    this.#hash = method.includes('256') ? 'sha256' : method.includes('512') ? 'sha512' : 'sha1'
    this.#password = password
    this.#bare = `n=${username.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${this.#nonce}`
  }

  first(): Buffer {
    return Buffer.from(`n,,${this.#bare}`)
  }

  final(challenge: Buffer): Buffer {
    const text = challenge.toString()
    const part = (name: string) =>
      text
        .split(',')
        .find((each) => each.startsWith(`${name}=`))
        ?.slice(2) ?? ''
    expect(part('r').startsWith(this.#nonce), 'the nonce of the broker does not begin with that of the client')
    const size = createHash(this.#hash).digest().length
    const salted = pbkdf2Sync(this.#password, Buffer.from(part('s'), 'base64'), Number(part('i')), size, this.#hash)
    const key = createHmac(this.#hash, salted).update('Client Key').digest()
    const stored = createHash(this.#hash).update(key).digest()
    const bare = `c=biws,r=${part('r')}`
    const signature = createHmac(this.#hash, stored).update(`${this.#bare},${text},${bare}`).digest()
    const proof = key.map((byte, index) => byte ^ (signature[index] as number))
    return Buffer.from(`${bare},p=${Buffer.from(proof).toString('base64')}`)
  }
}

function method(c: Context): { url: URL; scram: (password?: string) => Scram } {
  const { authMethod, username, password } = c.options
  if (authMethod === undefined || username === undefined || password === undefined) {
    vacuous('no method of enhanced authentication was named: --auth-method, with --user and --password')
  }
  if (!authMethod.startsWith('SCRAM-')) vacuous(`this suite does not speak ${authMethod}`)
  return { url: c.authUrl, scram: (given = password) => new Scram(authMethod, username, given) }
}

const withData = (scram: Scram, data: Buffer) =>
  [
    [P.authMethod, scram.method],
    [P.authData, data],
  ] as const

/** CONNECT with the method; the challenge that comes. */
async function begin(c: Context, url: URL, scram: Scram, list: Properties = []) {
  const client = await c.open(url)
  const properties = [...withData(scram, scram.first()), ...list]
  const clientId = c.id()
  // Nothing but the method says who this is.
  client.send(client.connectBytes({ clientId, flags: 2, payload: [clientId], properties }))
  const challenge = await client.take(TYPE.auth)
  return { client, challenge }
}

const answer = (client: Client, scram: Scram, challenge: Packet): void =>
  client.send(auth(CONTINUE, withData(scram, scram.final(dataOf(challenge)))))

const dataOf = (packet: Packet): Buffer => Buffer.from(propertyOf(packet, P.authData) as Uint8Array)

async function authenticated(c: Context, url: URL, scram: Scram): Promise<Client> {
  const { client, challenge } = await begin(c, url, scram)
  answer(client, scram, challenge)
  const connack = await client.take(TYPE.connack)
  expectSame(connack.code, 0, 'CONNACK')
  expectSame(propertyOf(connack, P.authMethod), scram.method, 'Authentication Method in CONNACK')
  return client
}

/** Closed before it was accepted: perhaps a CONNACK of 0x80 or more, never a DISCONNECT. */
async function failsToConnect(client: Client): Promise<void> {
  await client.closed()
  const [connack] = client.waiting(TYPE.connack)
  expect(connack === undefined || connack.code >= 0x80, 'the CONNECT was accepted')
  expectSame(client.waiting(TYPE.disconnect).map(describe), [], 'DISCONNECT before CONNACK')
}

export const authentication: readonly Case[] = [
  {
    title: 'an Authentication Method that is not supported is refused',
    v5: '4.12.0-1 3.14.0-1',
    run: (c) => c.refuses({ properties: [[P.authMethod, 'X-NONE']] }, 0x8c, 0x87),
  },
  {
    title: 'without an Authentication Method there is no AUTH and no method in CONNACK',
    v5: '4.12.0-6',
    run: async (c) => {
      const { connack } = await c.connect()
      expectSame(propertyOf(connack as Packet, P.authMethod), undefined, 'Authentication Method')
    },
  },
  {
    title: 'AUTH from a client that named no method ends the connection',
    v5: '4.12.0-7 4.13.1-1',
    run: async (c) => {
      for (const code of [CONTINUE, AGAIN]) {
        await c.breaksNew(auth(code, [[P.authMethod, 'SCRAM-SHA-256']]), 0x82)
      }
      await c.breaksNew(Buffer.from('F000', 'hex'), 0x82, 0x81)
    },
  },
  {
    title: 'flags of AUTH other than 0 end the connection',
    v5: '3.15.1-1 2.1.3-1',
    run: async (c) => {
      const sent = auth(CONTINUE, [[P.authMethod, 'SCRAM-SHA-256']])
      sent[0] = 0xf1
      await c.breaksNew(sent, 0x81, 0x82)
    },
  },
  {
    title: 'a method that needs more sends AUTH 0x18, and CONNACK when it is content, both with the method',
    v5: '4.12.0-2 4.12.0-5 3.15.2-1',
    run: async (c) => {
      const { url, scram } = method(c)
      const own = scram()
      const { client, challenge } = await begin(c, url, own)
      expectSame(challenge.code, CONTINUE, 'AUTH')
      expectSame(propertyOf(challenge, P.authMethod), own.method, 'Authentication Method in AUTH')
      answer(client, own, challenge)
      const connack = await client.take(TYPE.connack)
      expectSame([connack.code, propertyOf(connack, P.authMethod)], [0, own.method], 'CONNACK')
      await client.ping()
    },
  },
  {
    title: 'an answer other than AUTH 0x18 ends the handshake',
    v5: '4.12.0-3 3.15.2-1 3.14.0-1',
    run: async (c) => {
      const { url, scram } = method(c)
      for (const code of [AGAIN, 0x00, 0x55]) {
        const own = scram()
        const { client, challenge } = await begin(c, url, own)
        client.send(auth(code, withData(own, own.final(dataOf(challenge)))))
        await failsToConnect(client)
      }
    },
  },
  {
    title: 'wrong credentials end the handshake',
    v5: '4.12.0-4 3.1.4-2 3.14.0-1',
    run: async (c) => {
      const { url, scram } = method(c)
      const own = scram('not the password')
      const { client, challenge } = await begin(c, url, own)
      answer(client, own, challenge)
      await failsToConnect(client)
    },
  },
  {
    title: 'what comes during the handshake and is neither AUTH nor DISCONNECT ends it, and is not done',
    v5: '3.1.4-6 3.14.0-1',
    run: async (c) => {
      const { url, scram } = method(c)
      const { client } = await begin(c, url, scram())
      client.send(publish(5, c.topic(), 'x', { qos: 1, id: 1 }))
      await failsToConnect(client)
      expectSame(client.waiting(TYPE.puback).map(describe), [], 'PUBACKs')
    },
  },
  {
    title: 'a client authenticates again on its connection',
    v5: '4.12.0-5 4.12.0-2 3.15.2-1',
    run: async (c) => {
      const { url, scram } = method(c)
      const client = await authenticated(c, url, scram())
      const again = scram()
      client.send(auth(AGAIN, withData(again, again.first())))
      const challenge = await client.take(TYPE.auth)
      expectSame([challenge.code, propertyOf(challenge, P.authMethod)], [CONTINUE, again.method], 'AUTH')
      answer(client, again, challenge)
      const success = await client.take(TYPE.auth)
      expectSame([success.code, propertyOf(success, P.authMethod)], [0, again.method], 'AUTH')
      await client.ping()
    },
  },
  {
    title: 'authenticating again with another method ends the connection',
    v5: '4.12.1-1',
    run: async (c) => {
      const { url, scram } = method(c)
      const client = await authenticated(c, url, scram())
      await c.breaks(client, auth(AGAIN, [[P.authMethod, 'X-OTHER']]), 0x82, 0x8c)
    },
  },
  {
    title: 'authenticating again with wrong credentials ends the connection',
    v5: '4.12.1-2',
    run: async (c) => {
      const { url, scram } = method(c)
      const client = await authenticated(c, url, scram())
      const wrong = scram('not the password')
      client.send(auth(AGAIN, withData(wrong, wrong.first())))
      const challenge = await client.take(TYPE.auth)
      answer(client, wrong, challenge)
      await client.closed()
      const [goodbye] = client.waiting(TYPE.disconnect)
      if (goodbye === undefined) c.remark('closed without DISCONNECT')
      else expect(goodbye.code >= 0x80, `DISCONNECT ${hexCode(goodbye.code)}`)
    },
  },
  {
    title: 'flags of AUTH other than 0 end a handshake, too',
    v5: '3.15.1-1',
    run: async (c) => {
      const { url, scram } = method(c)
      const own = scram()
      const { client, challenge } = await begin(c, url, own)
      const sent = auth(CONTINUE, withData(own, own.final(dataOf(challenge))))
      sent[0] = 0xf1
      client.send(sent)
      await failsToConnect(client)
    },
  },
  ...[
    { name: 'a Reason String', what: P.reasonString, v5: '3.15.2-2' },
    { name: 'User Properties', what: P.userProperty, v5: '3.15.2-3' },
  ].map(
    ({ name, what, v5 }): Case => ({
      title: `AUTH comes without ${name} when it would exceed the Maximum Packet Size`,
      v5,
      run: async (c) => {
        const { url, scram } = method(c)
        await leavesOut(c, what, async (list) => (await begin(c, url, scram(), list)).challenge)
      },
    }),
  ),
  {
    title: 'with Request Problem Information 0 AUTH carries its method and data and nothing more',
    v5: '3.1.2-29',
    run: async (c) => {
      const { url, scram } = method(c)
      const { challenge } = await begin(c, url, scram(), [[P.requestProblem, 0], ASKING])
      const ids = challenge.properties.map(([id]) => id)
      expectSame(ids.sort(), [P.authMethod, P.authData].sort(), 'properties')
    },
  },
]
