/**
 * `tallymq broker`: options from flags, environment and file; one line of JSON on stdout when connections are taken;
 * SIGTERM and SIGINT stop it in good order, SIGHUP makes it read its certificate files again. What the broker does is
 * not decided here.
 */
import { setFlagsFromString } from 'node:v8'
import { loadOptions } from '../config/load.js'
import { type Options, OptionsError, type OptionsInput } from '../config/options.js'
import { createBroker, ListenError, type RunningBroker } from '../index.js'
import { wholeNumber } from './client-flags.js'
import { newCommand, parseFlags } from './command-line.js'
import { type Console, fired } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'
import { packageVersion } from '../config/package-version.js'

/**
 * Bytes of bytecode that V8 inlines into one function, instead of 920. What a publication at QoS 1 goes through, from
 * decoder to journal record, is some thirty small functions: inlined, they cost a quarter to a third less.
 */
const INLINED_BYTECODE_MAX = 3_000

interface BrokerFlags {
  readonly data?: string
  readonly host?: string
  readonly httpPort?: number
  /** False under `--no-mqtt-port`. */
  readonly mqttPort?: number | boolean
  readonly config?: string
  readonly store?: string
  readonly durability?: string
  readonly allowPublicAnonymous?: true
  readonly logLevel?: string
}

export async function broker(args: readonly string[], console: Console): Promise<ExitCode> {
  const command = newCommand('broker', 'Run the broker.', console)
    .option('--data <directory>', 'where the database lives (dataDirectory)')
    .option('--host <address>', 'address to listen on (listen.host)')
    .option(
      '--http-port <port>',
      'port for HTTP and WebSocket; 0: any free one (listen.httpPort)',
      wholeNumber(0, 65_535),
    )
    .option('--mqtt-port <port>', 'port for MQTT over TCP; 0: any free one (listen.mqttPort)', wholeNumber(0, 65_535))
    .option('--no-mqtt-port', 'no MQTT over TCP')
    .option('--config <file>', 'configuration file, YAML or JSON')
    .option('--store <store>', 'lmdb or memory (store)')
    .option('--durability <durability>', 'flush, os or memory (durability)')
    .option('--allow-public-anonymous', 'let everybody on the network do everything (access.allowPublicAnonymous)')
    .option('--log-level <level>', 'least severe line on stderr (log.level)')
    .addHelpText(
      'after',
      '\nEvery other option: the configuration file, or TALLYMQ_SECTION__OPTION in the environment.',
    )
  const flags = parseFlags<BrokerFlags>(command, args)
  if (flags === undefined) return ExitCode.OK
  const options = effectiveOptions(flags, console)
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTECODE_MAX}`)
  const running = await start(options)
  console.onHangup(() => running.reloadCertificates())
  console.write(readyLine(running))
  return serve(running, console)
}

function effectiveOptions(flags: BrokerFlags, console: Console): Options {
  try {
    const fromFlags = optionsOfFlags(flags) as OptionsInput
    return loadOptions({ file: flags.config, environment: console.environment, flags: fromFlags })
  } catch (error) {
    throw error instanceof OptionsError ? new CommandError(ExitCode.USAGE, error.message) : error
  }
}

function optionsOfFlags(flags: BrokerFlags): object {
  const mqttPort = flags.mqttPort === false ? null : flags.mqttPort === true ? undefined : flags.mqttPort
  return {
    dataDirectory: flags.data,
    store: flags.store,
    durability: flags.durability,
    listen: { host: flags.host, httpPort: flags.httpPort, mqttPort },
    access: { allowPublicAnonymous: flags.allowPublicAnonymous },
    log: { level: flags.logLevel },
  }
}

async function start(options: Options): Promise<RunningBroker> {
  try {
    return await createBroker(options)
  } catch (error) {
    if (!(error instanceof ListenError) || error.code !== 'EADDRINUSE') throw error
    const { mqttPort, tls } = options.listen
    const { port } = error
    const chooser = port === mqttPort ? '--mqtt-port' : port === tls.port ? 'listen.tls.port' : '--http-port'
    throw new CommandError(ExitCode.FAILED, `${error.message} ${chooser} chooses one; 0 is any free one.`)
  }
}

function readyLine(running: RunningBroker): string {
  const { httpUrl, mqttUrl, mqttsUrl } = running
  const mqtts = mqttsUrl === null ? {} : { mqtts: mqttsUrl }
  const line = { ready: true, http: httpUrl, mqtt: mqttUrl, ...mqtts, version: packageVersion() }
  return `${JSON.stringify(line)}\n`
}

async function serve(running: RunningBroker, console: Console): Promise<ExitCode> {
  const stopAsked = fired(console.interrupted).then(() => undefined)
  const fault = await Promise.race([running.fatal, stopAsked])
  if (fault === undefined) {
    const stopped = running.stop().then(() => undefined)
    const faultWhileStopping = await Promise.race([running.fatal, stopped])
    if (faultWhileStopping === undefined) return ExitCode.OK
    return endAfter(faultWhileStopping, console)
  }
  return endAfter(fault, console)
}

/**
 * Where a thread still waits for a disk that does not answer, `process.exit` would wait for that thread, maybe for
 * ever: such a process ends by SIGKILL. Log and clients have been told by then.
 */
function endAfter(fault: Error, console: Console): never {
  const sentence = `the broker stopped itself: ${fault.message}`
  if ((fault as { readonly code?: unknown }).code === 'STORE_STALLED') {
    console.log(`tallymq: ${sentence}`)
    process.kill(process.pid, 'SIGKILL')
  }
  throw new CommandError(ExitCode.BROKER_STOPPED, sentence)
}
