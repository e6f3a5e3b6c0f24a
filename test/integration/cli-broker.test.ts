/** `tallymq broker` as a process: the ready line, how it stops, and what it says when it cannot start. */
import { connect as connectSocket, createServer } from 'node:net'
import { statSync } from 'node:fs'
import { once } from 'node:events'
import t from 'tap'
import { startBroker, startTallymq, tallymq } from '../support/cli-process.js'

t.test('prints one line of JSON when it takes connections, and SIGTERM ends it with 0', async (t) => {
  const directory = `${t.testdir()}/data`
  const { cli, http, mqttPort } = await startBroker(t, ['--data', directory])
  t.match(JSON.parse(cli.output), {
    ready: true,
    http: /^http:\/\/127\.0\.0\.1:\d+$/,
    mqtt: /^mqtt:\/\/127\.0\.0\.1:\d+$/,
    version: /^\d+\.\d+\.\d+$/,
  })
  t.equal((await fetch(`${http}/healthz`)).status, 200)
  const socket = connectSocket(Number(mqttPort), '127.0.0.1')
  await once(socket, 'connect')
  t.equal(statSync(directory).mode & 0o777, 0o700)
  cli.child.kill('SIGTERM')
  const { exitCode, output } = await cli.ended
  t.equal(exitCode, 0)
  t.equal(output.split('\n').length, 2, 'nothing but the ready line on stdout')
  socket.destroy()
})

t.test('SIGINT stops it as well, and a second signal does not wait', async (t) => {
  const { cli, mqttPort } = await startBroker(t, ['--store', 'memory'])
  // A peer that never closes its side keeps the farewell waiting.
  const socket = connectSocket({ port: Number(mqttPort), host: '127.0.0.1', allowHalfOpen: true })
  await once(socket, 'connect')
  socket.write(Buffer.from('101000044d51545405020000000003000161', 'hex'))
  await once(socket, 'data')
  socket.on('error', () => {})
  cli.child.kill('SIGINT')
  await once(socket, 'end')
  cli.child.kill('SIGTERM')
  t.equal((await cli.ended).signal, 'SIGTERM')
  socket.destroy()
})

t.test('a port that is taken is named, with the flag that chooses another', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const flags = ['broker', '--store', 'memory', '--http-port', String(port), '--mqtt-port', '0']
  const { exitCode, errors, output } = await tallymq(flags)
  t.equal(exitCode, 1)
  t.match(errors, `${port}`)
  t.match(errors, /already in use.*--http-port/)
  t.equal(output, '')
})

t.test('a data directory in use is refused', async (t) => {
  const directory = `${t.testdir()}/data`
  await startBroker(t, ['--data', directory])
  const { exitCode, errors } = await tallymq(['broker', '--data', directory, '--http-port', '0', '--no-mqtt-port'])
  t.equal(exitCode, 1)
  t.match(errors, /tallymq: .*process \d+/)
})

t.test('wrong options are all named, wherever they come from, with exit code 64', async (t) => {
  const dir = t.testdir({ 'c.yaml': 'listen: { htpPort: 1 }\nlimits: { receiveMaximum: 0 }\n' })
  const { exitCode, errors } = await tallymq(['broker', '--config', `${dir}/c.yaml`, '--store', 'redis'], {
    TALLYMQ_LOG__LEVEL: 'loud',
  })
  t.equal(exitCode, 64)
  t.match(errors, /listen\.htpPort: there is no such option; did you mean 'listen\.httpPort'\?/)
  t.match(errors, /limits\.receiveMaximum: 0 was given.*c\.yaml/)
  t.match(errors, /store: 'redis' was given.*command line/)
  t.match(errors, /log\.level: 'loud' was given.*TALLYMQ_LOG__LEVEL/)
})

t.test('an open broker on a public address is refused, naming the options that permit it', async (t) => {
  const flags = ['broker', '--store', 'memory', '--http-port', '0', '--no-mqtt-port', '--host', '0.0.0.0']
  const { exitCode, errors } = await tallymq(flags)
  t.equal(exitCode, 64)
  t.match(errors, /listen\.host: .*access\.mode.*access\.allowPublicAnonymous/)
  const permitted = startTallymq([...flags, '--allow-public-anonymous'])
  t.match(JSON.parse((await permitted.saw(/\{"ready".*\n/))[0]), {
    http: /^http:\/\/(0\.0\.0\.0|127\.0\.0\.1):/,
    mqtt: null,
  })
  permitted.child.kill('SIGTERM')
  t.equal((await permitted.ended).exitCode, 0)
})

t.test('the program says what it knows', async (t) => {
  t.match((await tallymq(['--version'])).output, /^\d+\.\d+\.\d+\n$/)
  const help = await tallymq(['--help'])
  t.equal(help.exitCode, 0)
  for (const command of ['broker', 'pub', 'sub', 'demo', 'passwd', 'config']) t.match(help.output, `  ${command} `)
  t.equal((await tallymq([])).exitCode, 0)
  const unknown = await tallymq(['publish'])
  t.equal(unknown.exitCode, 64)
  t.match(unknown.errors, /'publish' is no command; known: broker, pub, sub/)
})

t.test('config checks, prints without hashes, and gives schema and table', async (t) => {
  const production = new URL('../../config/production.yaml', import.meta.url).pathname
  t.equal((await tallymq(['config', 'check', production])).exitCode, 0)
  t.equal((await tallymq(['config', 'check', `${production}x`])).exitCode, 64)
  const printed = await tallymq(['config', 'print', production])
  t.match(JSON.parse(printed.output), { access: { users: [{ username: 'device', passwordHash: '(not shown)' }] } })
  t.match(JSON.parse((await tallymq(['config', 'schema'])).output), { title: /TallyMQ/ })
  t.match((await tallymq(['config', 'table'])).output, '| `listen.httpPort` | `8083` |')
  t.equal((await tallymq(['config', 'dance'])).exitCode, 64)
})
