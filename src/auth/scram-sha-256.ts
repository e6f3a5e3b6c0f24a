/**
 * The server's side of SCRAM-SHA-256 [RFC 5802, RFC 7677], without channel binding. The broker keeps two keys that
 * cannot be turned back into the password, and the password never crosses the wire. Only a few hashes are computed
 * here, the expensive part is the client's: so every step answers at once.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { AuthenticationExchange, AuthenticationResult, AuthenticationStep } from '../core/ports/access.js'
import { ReasonCode } from '../protocol/reason-codes.js'

export const SCRAM_SHA_256 = 'SCRAM-SHA-256'

export interface ScramCredential {
  readonly iterations: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

const FORM = /^\$scram-sha-256\$i=(\d{4,7})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]{43})\$([A-Za-z0-9+/]{43})$/
/** RFC 7677 asks for so many at least; above the upper bound a client would be kept busy for minutes. */
const ITERATIONS_MIN = 4_096
const ITERATIONS_MAX = 5_000_000
const SALT_BYTES_MIN = 8
/** No honest message comes near it. */
const MESSAGE_BYTES_MAX = 4_096
const NONCE_BYTES = 18

/** @throws RangeError saying what is wrong; the keys are not in the message. */
export function parseScramCredential(text: string): ScramCredential {
  const match = FORM.exec(text)
  if (match === null) {
    throw new RangeError('a SCRAM credential has the form $scram-sha-256$i=…$salt$storedKey$serverKey')
  }
  const iterations = Number(match[1])
  const [salt, storedKey, serverKey] = match.slice(2).map((part) => Buffer.from(part, 'base64')) as [
    Buffer,
    Buffer,
    Buffer,
  ]
  if (iterations < ITERATIONS_MIN || iterations > ITERATIONS_MAX || salt.length < SALT_BYTES_MIN) {
    throw new RangeError(
      `a SCRAM credential has ${ITERATIONS_MIN} to ${ITERATIONS_MAX} iterations and ${SALT_BYTES_MIN} bytes of salt`,
    )
  }
  return { iterations, salt, storedKey, serverKey }
}

/**
 * Who is asked for: never says no, because a user that does not exist must look like one that does. Their credentials
 * are the same each time, as costly as those of somebody real, and right for nobody. They are derived from the keys of
 * all users: a secret that survives a restart, and that needs no file of its own. A key of the process would let
 * whoever asks before and after a restart see whose salt has changed. When the users change, decoys change too.
 */
export class ScramUsers {
  readonly #credentials: ReadonlyMap<string, ScramCredential>
  readonly #models: readonly ScramCredential[]
  readonly #decoyKey: Buffer

  constructor(credentials: ReadonlyMap<string, ScramCredential>) {
    this.#credentials = credentials
    // Of all: nobody who knows one password can compute it. In an order that is not the file's.
    this.#models = [...credentials.values()].sort((a, b) => a.serverKey.compare(b.serverKey))
    const secret = createHash('sha256').update('decoys')
    for (const { storedKey, serverKey } of this.#models) secret.update(storedKey).update(serverKey)
    this.#decoyKey = secret.digest()
  }

  get isEmpty(): boolean {
    return this.#models.length === 0
  }

  find(username: string): ScramCredential {
    // Made in either case, so that the time says nothing.
    const decoy = this.#decoyFor(username)
    return this.#credentials.get(username) ?? decoy
  }

  #decoyFor(username: string): ScramCredential {
    const of = (what: string): Buffer => createHmac('sha256', this.#decoyKey).update(`${what} ${username}`).digest()
    const choice = of('model')
    const { iterations, salt } = this.#models[choice.readUInt32BE() % this.#models.length] as ScramCredential
    const decoySalt = Buffer.alloc(salt.length, Buffer.concat([of('salt'), of('more salt')]))
    return { iterations, salt: decoySalt, storedKey: of('stored key'), serverKey: of('server key') }
  }
}

type State =
  | { readonly name: 'start'; readonly isAsked: boolean }
  | { readonly name: 'challenged'; readonly first: ClientFirst; readonly nonce: string; readonly challenge: string }
  | { readonly name: 'over' }

interface ClientFirst {
  /** `n,,` or `y,a=…,`: repeated in the last message, so that nobody in between can have changed it. */
  readonly header: string
  readonly bare: string
  readonly username: string
  readonly nonce: string
}

export class ScramExchange implements AuthenticationExchange {
  readonly #users: ScramUsers
  readonly #nonce: () => string
  #state: State = { name: 'start', isAsked: false }

  /** @param nonce printable, without a comma; tests give the one of the RFC's example. */
  constructor(users: ScramUsers, nonce: () => string = () => randomBytes(NONCE_BYTES).toString('base64')) {
    this.#users = users
    this.#nonce = nonce
  }

  step(data: Uint8Array): AuthenticationStep {
    const state = this.#state
    this.#state = { name: 'over' }
    if (state.name === 'start' && !state.isAsked && data.length === 0) {
      // A client that names the method only: an empty challenge asks for its first message.
      this.#state = { name: 'start', isAsked: true }
      return { accepted: 'continue', authenticationData: new Uint8Array(0) }
    }
    const message = data.length > MESSAGE_BYTES_MAX ? null : decodeUtf8(data)
    if (message === null) return malformed('a message is UTF-8 and not longer than 4096 bytes')
    if (state.name === 'start') return this.#challenge(message)
    if (state.name === 'challenged') return this.#judge(state, message)
    return malformed('the conversation is over')
  }

  #challenge(message: string): AuthenticationStep {
    const first = parseClientFirst(message)
    if (typeof first === 'string') return malformed(first)
    const { salt, iterations } = this.#users.find(first.username)
    const nonce = first.nonce + this.#nonce()
    const challenge = `r=${nonce},s=${salt.toString('base64')},i=${iterations}`
    this.#state = { name: 'challenged', first, nonce, challenge }
    return { accepted: 'continue', authenticationData: Buffer.from(challenge) }
  }

  #judge(state: Extract<State, { name: 'challenged' }>, message: string): AuthenticationResult {
    const { first, nonce, challenge } = state
    const final = /^(c=([^,]*),r=([^,]*)(?:,[^=,]+=[^,]*)*),p=([A-Za-z0-9+/]{43}=)$/.exec(message)
    if (final === null) return malformed('the last message is c=…,r=…,p=…')
    const [, withoutProof, binding, echoedNonce, proofText] = final
    if (binding !== Buffer.from(first.header).toString('base64')) return malformed('c= is not the header of before')
    if (echoedNonce !== nonce) return malformed('r= is not the nonce of the challenge')
    const { storedKey, serverKey } = this.#users.find(first.username)
    const authMessage = `${first.bare},${challenge},${withoutProof}`
    const proof = Buffer.from(proofText as string, 'base64')
    const signature = hmac(storedKey, authMessage)
    const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] as number)))
    if (!timingSafeEqual(createHash('sha256').update(clientKey).digest(), storedKey)) {
      return refusal('unknown user name or wrong password')
    }
    const authenticationData = Buffer.from(`v=${hmac(serverKey, authMessage).toString('base64')}`)
    return { accepted: true, username: first.username, authenticationData }
  }
}

/** @returns what is wrong with it, as a sentence. */
function parseClientFirst(message: string): ClientFirst | string {
  const match = /^((n|y|p=[^,]*),([^,]*),)(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/s.exec(message)
  if (match === null) return 'the first message is n,,n=user,r=nonce'
  const [, header, flag, authorizationId, bare, name, nonce] = match as unknown as string[]
  if (flag?.startsWith('p')) return 'channel binding is not available here'
  const username = readName(name as string)
  if (username === null) return 'in a user name = is written =3D and a comma =2C'
  if (authorizationId !== '' && readName(authorizationId?.replace(/^a=/, '') as string) !== username) {
    return 'nobody may act for another user here'
  }
  return { header: header as string, bare: bare as string, username, nonce: nonce as string }
}

function readName(text: string): string | null {
  if (/=(?!2C|3D)/.test(text)) return null
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=').normalize('NFKC')
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function malformed(detail: string): AuthenticationResult {
  return refusal(`${SCRAM_SHA_256}: ${detail}`)
}

function refusal(detail: string): AuthenticationResult {
  return { accepted: false, reasonCode: ReasonCode.NOT_AUTHORIZED, detail }
}
