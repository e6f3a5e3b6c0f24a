/** One SDK client for the length of a command: connect, do, close; and what its errors mean as exit codes. */
import { type Client, type Connect, type ConnectOptions, TallyError } from '../client/api.js'
import type { Console } from './console.js'
import { CommandError, ExitCode } from './exit-codes.js'

export interface SessionSettings {
  readonly debug: boolean
  /** Nothing on stderr; the exit code says it. */
  readonly quiet: boolean
  readonly closing?: Parameters<Client['close']>[0]
  /** Ends the command in good order, also while it is still connecting. */
  readonly ended: AbortSignal
}

export async function withClient(
  connect: Connect,
  options: ConnectOptions,
  console: Console,
  settings: SessionSettings,
  use: (client: Client) => Promise<ExitCode>,
): Promise<ExitCode> {
  try {
    const client = await connectOnce(connect, options, settings.ended)
    const debug = (line: string) => (settings.debug ? console.log(line) : undefined)
    debug(
      `Connected to ${options.url} as ${client.clientId}, session ${client.connack.sessionPresent ? 'resumed' : 'new'}`,
    )
    client.on('state', (state) => {
      if (state.name === 'reconnecting') debug(`Connection lost (${state.reason.message}), trying again`)
      if (state.name === 'connected') debug('Connected again')
    })
    client.on('error', (error) => (settings.quiet ? undefined : console.log(`tallymq: ${error.message}`)))
    try {
      return await use(client)
    } finally {
      await client.close(settings.closing)
    }
  } catch (error) {
    if (settings.ended.aborted) return ExitCode.OK
    if (!(error instanceof TallyError)) throw error
    if (settings.quiet) return exitCodeOf(error)
    throw new CommandError(exitCodeOf(error), error.message)
  }
}

/** The SDK tries for ever; a command says at once that nobody answers, and tries again only what has worked before. */
async function connectOnce(connect: Connect, options: ConnectOptions, ended: AbortSignal): Promise<Client> {
  const firstAttempt = new AbortController()
  let isConnected = false
  let failure: TallyError | undefined
  const onState: ConnectOptions['onState'] = (state) => {
    isConnected ||= state.name === 'connected'
    if (state.name !== 'reconnecting' || isConnected) return
    failure = state.reason
    firstAttempt.abort()
  }
  try {
    return await connect({ ...options, onState, signal: AbortSignal.any([ended, firstAttempt.signal]) })
  } catch (error) {
    throw failure ?? error
  }
}

/** Rejects when the client has given up; otherwise never settles. */
export function clientFailure(client: Client): Promise<never> {
  return new Promise((_resolve, reject) => {
    client.on('state', (state) => {
      if (state.name === 'closed' && state.reason.kind === 'failed') reject(state.reason.error)
    })
  })
}

export function exitCodeOf(error: TallyError): ExitCode {
  if (error.code === 'INVALID_ARGUMENT') return ExitCode.USAGE
  return error.code.endsWith('_REFUSED') ? ExitCode.REFUSED : ExitCode.FAILED
}
