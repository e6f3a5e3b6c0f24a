/** The codec as a browser gets it: bundled, without Buffer and without msgpackr's native string reader. */
import { readFileSync } from 'node:fs'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import t from 'tap'
import { loadVectors, VECTOR_LIMITS } from './vectors.js'

/** Runs inside a realm that has no Buffer, process or require; gives back what differs. */
const CHECK = `
const bytesOf = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16))
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const plain = (value) => {
  if (value instanceof Uint8Array) return { hex: hexOf(value) }
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, plain(value[key])]))
}
const revive = (value) => {
  if (Array.isArray(value)) return value.map(revive)
  if (value === null || typeof value !== 'object') return value
  if (typeof value.hex === 'string') return bytesOf(value.hex)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revive(item)]))
}
const differences = []
const decode = (vector) => {
  const decoder = nativeCodec.decoder({ ...limits, ...vector.limits })
  if (vector.connectAccepted !== false) decoder.connectAccepted(5)
  const packets = []
  decoder.decode(bytesOf(vector.hex), (packet) => packets.push(packet))
  return JSON.stringify(packets.map(plain))
}
for (const vector of vectors.flatMap((file) => file.valid)) {
  if (decode(vector) !== JSON.stringify(vector.packets.map(plain))) differences.push('decode ' + vector.name)
  if (vector.decodeOnly) continue
  const writer = nativeCodec.writer(5)
  for (const packet of vector.packets) writer.write(revive(packet))
  const { buffer, headroom } = writer.take()
  if (hexOf(buffer.subarray(headroom)) !== vector.hex) differences.push('encode ' + vector.name)
}
for (const vector of vectors.flatMap((file) => file.invalid)) {
  let reasonCode = -1
  try { decode(vector) } catch (error) { reasonCode = error.reasonCode }
  if (reasonCode !== vector.reasonCode) differences.push('refuse ' + vector.name + ': ' + reasonCode)
}
JSON.stringify(differences)
`

t.test('the browser bundle passes every vector in a realm without Buffer, process and require', async (t) => {
  const bundle = await build({
    stdin: {
      contents: "export { nativeCodec } from './codec.js'",
      resolveDir: new URL('../../../../src/protocol/msgpack/', import.meta.url).pathname,
    },
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'bundle',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  })
  const script = bundle.outputFiles[0]?.text ?? ''
  t.notMatch(script, /from ["']node:/)
  const realm = createContext({
    TextDecoder,
    TextEncoder,
    vectorsJson: JSON.stringify(loadVectors('tally.v1')),
    limitsJson: JSON.stringify(VECTOR_LIMITS),
  })
  runInContext(script, realm)
  runInContext(
    'var { nativeCodec } = bundle, vectors = JSON.parse(vectorsJson), limits = JSON.parse(limitsJson)',
    realm,
  )
  t.equal(runInContext('typeof Buffer + typeof process', realm), 'undefinedundefined')
  t.strictSame(
    JSON.parse(runInContext(`(() => {${CHECK.replace(/JSON.stringify\(differences\)\n$/, 'return $&')}})()`, realm)),
    [],
  )
})

t.test('the sources of the codec import nothing from node', async (t) => {
  for (const file of ['codec', 'decoder', 'writer', 'packer', 'cursor', 'produce', 'fields']) {
    const source = readFileSync(new URL(`../../../../src/protocol/msgpack/${file}.ts`, import.meta.url), 'utf8')
    t.notMatch(source, /node:|Buffer\./, file)
  }
})
