/** Every flag of mosquitto's clients is known: it does what it does there, or the answer says what to do instead. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import t from 'tap'
import { CliProcess, startBroker, tallymq } from '../support/cli-process.js'
import { needs } from '../support/peers.js'
import { makeCertificate } from '../support/tls-files.js'

const INSTEAD: Readonly<Record<string, RegExp>> = {
  '--unix': /use -h and -p/,
  '--proxy': /tunnel the port/,
  '--psk': /use --cert and --key/,
  '--psk-identity': /use --cert and --key/,
  '--tls-engine': /use --cert and --key/,
  '--tls-engine-kpass-sha1': /use --cert and --key/,
}

for (const [ours, theirs] of [
  ['pub', 'mosquitto_pub'],
  ['sub', 'mosquitto_sub'],
] as const) {
  t.test(`${theirs} has no flag that ${ours} does not know`, needs(theirs), async (t) => {
    const { output } = await new CliProcess(theirs, ['--help']).ended
    const flags = new Set(output.match(/(?<=[\s{[|])--?[A-Za-z][\w-]*/g))
    t.ok(flags.size > 40, `${flags.size} flags`)
    const { output: known } = await tallymq([ours, '--help'])
    const listed = new Set(known.match(/(?<=\s)--?[A-Za-z][\w-]*/g))
    const left = [...flags].filter((flag) => !listed.has(flag))
    t.same(left.sort(), Object.keys(INSTEAD).sort())
    for (const [flag, instead] of Object.entries(INSTEAD)) {
      const { exitCode, errors } = await tallymq([ours, flag, 'x', '-t', 'a'])
      t.equal(exitCode, 64)
      t.match(errors, instead, flag)
    }
  })
}

t.test('-A: from this address, over TCP and WebSocket', async (t) => {
  const addresses: (string | undefined)[] = []
  const server = createServer((socket: Socket) => {
    addresses.push(socket.remoteAddress)
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  for (const url of [`mqtt://127.0.0.1:${port}`, `ws://127.0.0.1:${port}/mqtt`]) {
    t.equal((await tallymq(['pub', '--url', url, '-A', '127.0.0.7', '-t', 'a', '-m', 'x', '--nodelay'])).exitCode, 1)
  }
  t.same(addresses, ['127.0.0.7', '127.0.0.7'])
})

t.test('-M: so many QoS 1 messages on their way; -o: flags from a file', async (t) => {
  const { mqttPort } = await startBroker(t, ['--store', 'memory'])
  const directory = t.testdir({
    flags: `# where, and what goes with it\n-p ${mqttPort}\n\n-q 1\n-D publish user-property note two words\n`,
    wrong: 'port 1\n',
  })
  const flags = ['-o', `${directory}/flags`]
  const lines = 'one\ntwo\nthree\n'
  const sent = await tallymq(['pub', ...flags, '-t', 'a', '-l', '-r', '-M', '1'], {}, lines)
  t.match(sent, { exitCode: 0, errors: '' })
  const late = await tallymq(['sub', '-p', mqttPort, '-t', 'a', '-C', '1', '-q', '1', '-F', '%p|%q|%P'])
  t.equal(late.output, 'three|1|note:two words\n')
  const wrong = await tallymq(['pub', '-o', `${directory}/wrong`, '-t', 'a', '-m', 'x'])
  t.match(wrong, { exitCode: 64, errors: /"port" is no flag/ })
  t.match(await tallymq(['pub', '-o', `${directory}/none`]), { exitCode: 64, errors: /cannot be read \(ENOENT\)/ })
})

t.test('certificates make -h and -p speak TLS, with the version that is asked for', needs('openssl'), async (t) => {
  const directory = t.testdir()
  const { certificateFile, keyFile } = makeCertificate(directory, 'broker')
  const file = `${directory}/broker.json`
  writeFileSync(file, JSON.stringify({ store: 'memory', listen: { tls: { port: 0, certificateFile, keyFile } } }))
  const { cli } = await startBroker(t, ['--config', file])
  const { mqtts } = JSON.parse(cli.output) as { mqtts: string }
  const to = ['-h', '127.0.0.1', '-p', mqtts.split(':').at(-1) as string, '-t', 'a']
  for (const trusting of [
    ['--cafile', certificateFile],
    ['--capath', directory],
  ]) {
    for (const version of ['tlsv1.2', 'tlsv1.3']) {
      const flags = [...trusting, '--tls-version', version, '--tls-alpn', 'mqtt', '--keyform', 'pem']
      t.match(await tallymq(['pub', ...to, '-m', 'x', '-q', '1', '-r', ...flags]), { exitCode: 0, errors: '' }, version)
    }
  }
  const ciphers = ['--ciphers', 'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384', '--tls-version', 'tlsv1.2']
  t.match(await tallymq(['sub', ...to, '-C', '1', '--cafile', certificateFile, ...ciphers]), { output: 'x\n' })
  t.match(await tallymq(['pub', ...to, '-m', 'x', '--tls-use-os-certs']), { exitCode: 1 }, 'nobody there signed it')
  t.match(await tallymq(['pub', ...to, '-m', 'x', '--tls-version', 'sslv3']), { exitCode: 64, errors: /tlsv1.3/ })
  t.match(await tallymq(['pub', ...to, '-m', 'x', '--keyform', 'engine']), { exitCode: 64, errors: /PEM files/ })
  t.match(await tallymq(['pub', ...to, '-m', 'x', '--capath', '/none']), { exitCode: 64, errors: /cannot be read/ })
})
