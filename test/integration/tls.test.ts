/** MQTT and WebSocket under TLS: clients of others, clients with certificates, and a certificate that is renewed. */
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import mqtt, { type MqttClient } from 'mqtt'
import t from 'tap'
import { PacketType } from '../../src/protocol/packets.js'
import { CliProcess, startTallymq, tallymq } from '../support/cli-process.js'
import { needs } from '../support/peers.js'
import { makeCertificate, type TlsFiles } from '../support/tls-files.js'
import { connectPacket, encode, packets, startBroker } from '../support/ws-clients.js'

const withTls = (files: TlsFiles, more: object = {}) => ({
  listen: { tls: { port: 0, ...files, ...more }, httpTls: true },
})

async function tlsConnection(url: string, options: object): Promise<TLSSocket> {
  const { hostname, port } = new URL(url)
  const socket = connectTls({ host: hostname, port: Number(port), ...options })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

const nextPayload = (client: MqttClient) =>
  new Promise<Buffer>((resolve) => client.once('message', (_topicName, payload) => resolve(payload)))
/** However it ends: an alert, a reset, a FIN. */
const gone = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))
const commonName = (socket: TLSSocket) => socket.getPeerCertificate().subject.CN
const portOf = (url: string | null) => new URL(url as string).port

t.test(
  'MQTT.js and mosquitto_pub over TLS, and a WebSocket over TLS, reach each other',
  needs('openssl'),
  async (t) => {
    const files = makeCertificate(t.testdir(), 'broker')
    const broker = await startBroker(t, withTls(files))
    const ca = readFileSync(files.certificateFile)
    t.match(broker, { httpUrl: /^https:/, mqttsUrl: /^mqtts:/, mqttUrl: /^mqtt:/ })
    const overTcp = await mqtt.connectAsync(broker.mqttsUrl as string, { ca, protocolVersion: 5, clientId: 'tcp' })
    t.teardown(() => overTcp.endAsync(true))
    const wss = `${broker.httpUrl.replace('https', 'wss')}/mqtt`
    const overWs = await mqtt.connectAsync(wss, { ca, protocolVersion: 4, clientId: 'ws' })
    t.teardown(() => overWs.endAsync(true))
    const links = [...broker.broker.state.connections].map(({ link }) => link.description.transport)
    t.same(links, ['tls', 'wss'])

    await overWs.subscribeAsync('a/#', { qos: 2 })
    const large = Buffer.alloc(1_000_000, 'x')
    const heardLarge = nextPayload(overWs)
    await overTcp.publishAsync('a/large', large, { qos: 2 })
    const payload = await heardLarge
    t.ok(payload.equals(large), 'more than one TLS record')

    if (needs('mosquitto_pub').skip === undefined) {
      const heard = nextPayload(overWs)
      const to = ['-h', '127.0.0.1', '-p', portOf(broker.mqttsUrl), '--cafile', files.certificateFile]
      const pub = new CliProcess('mosquitto_pub', [...to, '-t', 'a/m', '-m', 'from mosquitto', '-q', '1'])
      t.equal((await pub.ended).exitCode, 0)
      t.equal(String(await heard), 'from mosquitto')
    }
  },
)

t.test('who does not speak TLS, or not enough of it, is turned away alone', needs('openssl'), async (t) => {
  const files = makeCertificate(t.testdir(), 'broker')
  const broker = await startBroker(t, withTls(files, { minVersion: 'TLSv1.3' }))
  const plain = connectTcp(Number(portOf(broker.mqttsUrl)), '127.0.0.1')
  plain.on('error', () => {})
  plain.write(encode(connectPacket('plain')))
  await gone(plain)
  const http = connectTcp(Number(portOf(broker.httpUrl)), '127.0.0.1')
  http.on('error', () => {})
  http.write('GET /healthz HTTP/1.1\r\n\r\n')
  await gone(http)
  const { certificateFile } = files
  const old = { ca: readFileSync(certificateFile), maxVersion: 'TLSv1.2' }
  await t.rejects(tlsConnection(broker.mqttsUrl as string, old), 'TLS 1.2 where 1.3 is asked for')
  const [response] = (await once(get(`${broker.httpUrl}/healthz`, { ca: old.ca }), 'response')) as [
    { statusCode: number; resume(): void },
  ]
  response.resume()
  t.equal(response.statusCode, 200)
  t.equal(broker.shell.connectionCount, 0)
})

t.test('with requestClientCertificate only a certificate of the authority comes in', needs('openssl'), async (t) => {
  const directory = t.testdir()
  const files = makeCertificate(directory, 'broker')
  const client = makeCertificate(directory, 'device')
  const ask = { caFile: client.certificateFile, requestClientCertificate: true }
  const broker = await startBroker(t, withTls(files, ask))
  const ca = readFileSync(files.certificateFile)
  const own = { cert: readFileSync(client.certificateFile), key: readFileSync(client.keyFile) }
  const stranger = makeCertificate(directory, 'stranger')
  const wrong = { cert: readFileSync(stranger.certificateFile), key: readFileSync(stranger.keyFile) }
  for (const certificate of [{}, wrong]) {
    // In TLS 1.3 the client is done before the server has looked at its certificate.
    const refused = await tlsConnection(broker.mqttsUrl as string, { ca, ...certificate })
    refused.write(encode(connectPacket('stranger')))
    await gone(refused)
  }
  t.equal(broker.broker.sessionCount, 0)
  const socket = await tlsConnection(broker.mqttsUrl as string, { ca, ...own })
  socket.write(encode(connectPacket('device')))
  t.match(await packets(socket, 1), [{ type: PacketType.CONNACK, reasonCode: 0 }])
})

t.test(
  'SIGHUP brings a renewed certificate; open connections stay; a bad file changes nothing',
  needs('openssl'),
  async (t) => {
    const directory = t.testdir()
    const first = makeCertificate(directory, 'first')
    const second = makeCertificate(directory, 'second')
    const cli = startTallymq(['broker', '--http-port', '0', '--no-mqtt-port', '--store', 'memory'], {
      TALLYMQ_LISTEN__TLS__PORT: '0',
      TALLYMQ_LISTEN__TLS__CERTIFICATE_FILE: first.certificateFile,
      TALLYMQ_LISTEN__TLS__KEY_FILE: first.keyFile,
      TALLYMQ_LISTEN__HTTP_TLS: 'true',
    })
    t.teardown(() => {
      cli.child.kill('SIGKILL')
      return cli.ended
    })
    await cli.saw(/\{"ready":true.*\n/)
    const ready = JSON.parse(cli.output) as { http: string; mqtt: null; mqtts: string }
    t.match(ready, { http: /^https:/, mqtt: null, mqtts: /^mqtts:/ })
    const ca = [readFileSync(first.certificateFile), readFileSync(second.certificateFile)]
    const open = await tlsConnection(ready.mqtts, { ca })
    open.write(encode(connectPacket('stays')))
    await packets(open, 1)
    t.equal(commonName(open), 'first')

    const certificate = readFileSync(first.certificateFile)
    writeFileSync(first.certificateFile, certificate.subarray(0, 100))
    cli.child.kill('SIGHUP')
    await cli.saw(/old certificate stays in force/)
    t.match(cli.errors, /are no certificate and its key \(/)
    t.equal(commonName(await tlsConnection(ready.mqtts, { ca })), 'first')

    copyFileSync(second.certificateFile, first.certificateFile)
    cli.child.kill('SIGHUP')
    await cli.saw(/old certificate stays in force[\s\S]*old certificate stays in force/)
    t.equal(commonName(await tlsConnection(ready.mqtts, { ca })), 'first', 'a certificate whose key is another one')

    copyFileSync(second.keyFile, first.keyFile)
    cli.child.kill('SIGHUP')
    await cli.saw(/have been read again/)
    t.equal(commonName(await tlsConnection(ready.mqtts, { ca })), 'second')
    t.equal(commonName(await tlsConnection(ready.http, { ca })), 'second')
    open.write(encode({ type: PacketType.PINGREQ }))
    t.match(await packets(open, 1), [{ type: PacketType.PINGRESP }], 'who was there is still there')
  },
)

t.test('files that cannot be used are named before anything listens', needs('openssl'), async (t) => {
  const files = makeCertificate(t.testdir({ 'no.crt': 'no certificate' }), 'broker')
  const missing = { ...files, keyFile: `${files.keyFile}.missing` }
  await t.rejects(startBroker(t, withTls(missing)), {
    code: 'TLS_FILES',
    message: /keyFile: .* cannot be read \(ENOENT\)/,
  })
  const wrong = { ...files, certificateFile: files.certificateFile.replace('broker.crt', 'no.crt') }
  await t.rejects(startBroker(t, withTls(wrong)), { code: 'TLS_FILES', message: /are no certificate and its key/ })
})

t.test('tallymq pub and sub over mqtts and wss, with a certificate of their own', needs('openssl'), async (t) => {
  const directory = t.testdir()
  const files = makeCertificate(directory, 'broker')
  const own = makeCertificate(directory, 'device')
  const broker = await startBroker(t, withTls(files, { caFile: own.certificateFile, requestClientCertificate: true }))
  const shown = ['--cert', own.certificateFile, '--key', own.keyFile]
  const trusting = ['--cafile', files.certificateFile]
  for (const url of [broker.mqttsUrl as string, broker.httpUrl.replace('https', 'wss')]) {
    const message = ['-t', 'a', '-q', '1', '-r', '-m', url]
    t.match(await tallymq(['pub', '--url', url, ...trusting, ...shown, ...message]), { exitCode: 0 })
    const heard = await tallymq(['sub', '--url', url, '--insecure', ...shown, '-t', 'a', '-C', '1'])
    t.match(heard, { exitCode: 0, output: `${url}\n` })
    t.not((await tallymq(['pub', '--url', url, ...shown, ...message])).exitCode, 0, 'nobody vouches for the broker')
  }
  const bare = await tallymq(['pub', '--url', 'mqtt://127.0.0.1:1', ...trusting, '-t', 'a', '-m', 'x'])
  t.match(bare, { exitCode: 64, errors: /need an mqtts:/ })
})
