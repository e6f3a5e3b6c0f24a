/**
 * Password hashes in PHC form, `$scrypt$ln=15,r=8,p=1$<salt>$<hash>`: parsed and compared (`tallymq passwd` makes
 * them). Hashing runs on the thread pool, never on the event loop; how much of it at one time the caller bounds.
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

export interface ScryptHash {
  readonly costLog2: number
  readonly blockSize: number
  readonly parallelization: number
  readonly salt: Buffer
  readonly key: Buffer
}

const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/
const COST_LOG2_MIN = 10
const COST_LOG2_MAX = 20
const SALT_BYTES = 16
const KEY_BYTES = 32

/** @throws RangeError saying what is wrong; the hash itself is not in the message. */
export function parseScryptHash(text: string): ScryptHash {
  const match = FORM.exec(text)
  if (match === null) throw new RangeError('a password hash has the form $scrypt$ln=…,r=…,p=…$salt$hash')
  const [costLog2, blockSize, parallelization] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (costLog2 < COST_LOG2_MIN || costLog2 > COST_LOG2_MAX || blockSize < 1 || parallelization < 1) {
    throw new RangeError(`a password hash has ln between ${COST_LOG2_MIN} and ${COST_LOG2_MAX}, r and p above 0`)
  }
  const salt = Buffer.from(match[4] as string, 'base64')
  const key = Buffer.from(match[5] as string, 'base64')
  if (salt.length < 8 || key.length < 16)
    throw new RangeError('a password hash has 8 bytes of salt and 16 of hash at least')
  return { costLog2, blockSize, parallelization, salt, key }
}

/** What nobody's password gives, at the same cost: for users that do not exist. */
export function decoyLike(hash: ScryptHash | undefined): ScryptHash {
  const { costLog2, blockSize, parallelization } = hash ?? { costLog2: 15, blockSize: 8, parallelization: 1 }
  return { costLog2, blockSize, parallelization, salt: randomBytes(SALT_BYTES), key: randomBytes(KEY_BYTES) }
}

export async function verifyPassword(password: Uint8Array, hash: ScryptHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, hash, hash.key.length), hash.key)
}

function derive(password: Uint8Array, hash: Omit<ScryptHash, 'key'>, keyBytes: number): Promise<Buffer> {
  const { blockSize, parallelization } = hash
  const cost = 2 ** hash.costLog2
  const maxmem = 128 * blockSize * (cost + parallelization + 2)
  return new Promise((resolve, reject) => {
    scrypt(password, hash.salt, keyBytes, { cost, blockSize, parallelization, maxmem }, (error, key) => {
      if (error) reject(error)
      else resolve(key)
    })
  })
}
