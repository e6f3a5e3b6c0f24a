/**
 * The client's side of SCRAM-SHA-256, written from RFC 5802 and apart from the broker's: keys from the password, every
 * field of the challenge taken out by name, the server's signature checked.
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'

export const ITERATIONS = 4_096
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')

function saltedPassword(password: string, salt: Buffer, iterations: number): Buffer {
  return pbkdf2Sync(password, salt, iterations, 32, 'sha256')
}
const sign = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** What the broker keeps of a password. */
export function scramCredential(password: string, salt = SALT, iterations = ITERATIONS): string {
  const salted = saltedPassword(password, salt, iterations)
  const storedKey = createHash('sha256').update(sign(salted, 'Client Key')).digest()
  const parts = [salt, storedKey, sign(salted, 'Server Key')]
  const unpadded = parts.map((part) => part.toString('base64').replace(/=+$/, ''))
  return `$scram-sha-256$i=${iterations}$${unpadded.join('$')}`
}

export class ScramClient {
  readonly #password: string
  readonly #header: string
  readonly #bare: string
  #expected = ''

  constructor(username: string, password: string, nonce = 'rOprNGfwEbeRWgbNEkqO', header = 'n,,') {
    this.#password = password
    this.#header = header
    this.#bare = `n=${username.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`
  }

  first(): Buffer {
    return Buffer.from(this.#header + this.#bare)
  }

  final(challenge: Uint8Array | undefined): Buffer {
    const text = Buffer.from(challenge ?? []).toString()
    const fields = new Map(text.split(',').map((field) => [field.slice(0, 2), field.slice(2)]))
    const salt = Buffer.from(fields.get('s=') ?? '', 'base64')
    const salted = saltedPassword(this.#password, salt, Number(fields.get('i=')))
    const clientKey = sign(salted, 'Client Key')
    const withoutProof = `c=${Buffer.from(this.#header).toString('base64')},r=${fields.get('r=')}`
    const authMessage = [this.#bare, text, withoutProof].join(',')
    const signature = sign(createHash('sha256').update(clientKey).digest(), authMessage)
    for (const [index, byte] of signature.entries()) signature[index] = byte ^ (clientKey[index] as number)
    this.#expected = `v=${sign(sign(salted, 'Server Key'), authMessage).toString('base64')}`
    return Buffer.from(`${withoutProof},p=${signature.toString('base64')}`)
  }

  /** Does the server know the password too? */
  isServerRight(finalData: Uint8Array | undefined): boolean {
    return this.#expected !== '' && Buffer.from(finalData ?? []).toString() === this.#expected
  }
}
