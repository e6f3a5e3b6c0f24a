/**
 * SHA-256 (FIPS 180-4) for places where the platform's own is not at hand: the core has no `node:`, and the browser's
 * answers with a promise. Where speed matters the platform's is handed in, see `stream-digest.ts`.
 */
const BLOCK_BYTES = 64

/** The first 32 bits of the fractional parts of the square or cube roots of the first primes: the standard's tables. */
function rootsOfPrimes(count: number, root: (prime: number) => number): Int32Array {
  const words = new Int32Array(count)
  for (let candidate = 2, found = 0; found < count; candidate += 1) {
    let isPrime = true
    for (let factor = 2; factor * factor <= candidate; factor += 1) if (candidate % factor === 0) isPrime = false
    if (!isPrime) continue
    words[found] = (root(candidate) % 1) * 0x1_0000_0000
    found += 1
  }
  return words
}

const INITIAL = rootsOfPrimes(8, Math.sqrt)
const ROUND = rootsOfPrimes(64, Math.cbrt)
/** Scratch of `compress`, which never calls out. */
const schedule = new Int32Array(BLOCK_BYTES)

export class Sha256 {
  readonly #words = new Int32Array(INITIAL)
  readonly #pending = new Uint8Array(BLOCK_BYTES)
  #length = 0

  /** Bytes hashed so far. */
  get length(): number {
    return this.#length
  }

  update(bytes: Uint8Array): this {
    const { length } = bytes
    const filled = this.#length % BLOCK_BYTES
    this.#length += length
    let at = 0
    if (filled > 0) {
      at = Math.min(BLOCK_BYTES - filled, length)
      copy(bytes, 0, at, this.#pending, filled)
      if (filled + at < BLOCK_BYTES) return this
      compress(this.#words, this.#pending, 0)
    }
    for (; at + BLOCK_BYTES <= length; at += BLOCK_BYTES) compress(this.#words, bytes, at)
    copy(bytes, at, length, this.#pending, 0)
    return this
  }

  /** 32 bytes: the hash of all that came so far. More may come. */
  digest(): Uint8Array {
    const words = new Int32Array(this.#words)
    const filled = this.#length % BLOCK_BYTES
    const last = new Uint8Array(filled < BLOCK_BYTES - 8 ? BLOCK_BYTES : 2 * BLOCK_BYTES)
    copy(this.#pending, 0, filled, last, 0)
    last[filled] = 0x80
    const view = new DataView(last.buffer)
    view.setUint32(last.length - 8, Math.floor(this.#length / 0x2000_0000))
    view.setUint32(last.length - 4, (this.#length * 8) % 0x1_0000_0000)
    for (let at = 0; at < last.length; at += BLOCK_BYTES) compress(words, last, at)
    return bigEndian(words, new Uint8Array(32))
  }
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Sha256().update(bytes).digest()
}

/** For a few bytes a loop beats `set` with its `subarray`. */
function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  for (let index = start; index < end; index += 1) to[at + index - start] = from[index] as number
}

function bigEndian(words: Int32Array, bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer)
  for (let index = 0; index < words.length; index += 1) view.setInt32(index * 4, words[index] as number)
  return bytes
}

function expand(block: Uint8Array, at: number): void {
  for (let index = 0; index < 16; index += 1) {
    const from = at + index * 4
    schedule[index] =
      ((block[from] as number) << 24) |
      ((block[from + 1] as number) << 16) |
      ((block[from + 2] as number) << 8) |
      (block[from + 3] as number)
  }
  for (let index = 16; index < 64; index += 1) {
    const x = schedule[index - 15] as number
    const y = schedule[index - 2] as number
    const small0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const small1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    schedule[index] = ((schedule[index - 16] as number) + small0 + (schedule[index - 7] as number) + small1) | 0
  }
}

function big0(x: number): number {
  return ((x >>> 2) | (x << 30)) ^ ((x >>> 13) | (x << 19)) ^ ((x >>> 22) | (x << 10))
}
function big1(x: number): number {
  return ((x >>> 6) | (x << 26)) ^ ((x >>> 11) | (x << 21)) ^ ((x >>> 25) | (x << 7))
}

/** One block of the compression function (FIPS 180-4 6.2.2). */
function compress(words: Int32Array, block: Uint8Array, at: number): void {
  expand(block, at)
  let a = words[0] as number
  let b = words[1] as number
  let c = words[2] as number
  let d = words[3] as number
  let e = words[4] as number
  let f = words[5] as number
  let g = words[6] as number
  let h = words[7] as number
  // Eight rounds at a time: instead of moving eight values on in each round, the names change places.
  for (let index = 0; index < 64; index += 8) {
    h = (h + big1(e) + (g ^ (e & (f ^ g))) + (ROUND[index] as number) + (schedule[index] as number)) | 0
    d = (d + h) | 0
    h = (h + big0(a) + ((a & b) | (c & (a | b)))) | 0
    g = (g + big1(d) + (f ^ (d & (e ^ f))) + (ROUND[index + 1] as number) + (schedule[index + 1] as number)) | 0
    c = (c + g) | 0
    g = (g + big0(h) + ((h & a) | (b & (h | a)))) | 0
    f = (f + big1(c) + (e ^ (c & (d ^ e))) + (ROUND[index + 2] as number) + (schedule[index + 2] as number)) | 0
    b = (b + f) | 0
    f = (f + big0(g) + ((g & h) | (a & (g | h)))) | 0
    e = (e + big1(b) + (d ^ (b & (c ^ d))) + (ROUND[index + 3] as number) + (schedule[index + 3] as number)) | 0
    a = (a + e) | 0
    e = (e + big0(f) + ((f & g) | (h & (f | g)))) | 0
    d = (d + big1(a) + (c ^ (a & (b ^ c))) + (ROUND[index + 4] as number) + (schedule[index + 4] as number)) | 0
    h = (h + d) | 0
    d = (d + big0(e) + ((e & f) | (g & (e | f)))) | 0
    c = (c + big1(h) + (b ^ (h & (a ^ b))) + (ROUND[index + 5] as number) + (schedule[index + 5] as number)) | 0
    g = (g + c) | 0
    c = (c + big0(d) + ((d & e) | (f & (d | e)))) | 0
    b = (b + big1(g) + (a ^ (g & (h ^ a))) + (ROUND[index + 6] as number) + (schedule[index + 6] as number)) | 0
    f = (f + b) | 0
    b = (b + big0(c) + ((c & d) | (e & (c | d)))) | 0
    a = (a + big1(f) + (h ^ (f & (g ^ h))) + (ROUND[index + 7] as number) + (schedule[index + 7] as number)) | 0
    e = (e + a) | 0
    a = (a + big0(b) + ((b & c) | (d & (b | c)))) | 0
  }
  words[0] = ((words[0] as number) + a) | 0
  words[1] = ((words[1] as number) + b) | 0
  words[2] = ((words[2] as number) + c) | 0
  words[3] = ((words[3] as number) + d) | 0
  words[4] = ((words[4] as number) + e) | 0
  words[5] = ((words[5] as number) + f) | 0
  words[6] = ((words[6] as number) + g) | 0
  words[7] = ((words[7] as number) + h) | 0
}
