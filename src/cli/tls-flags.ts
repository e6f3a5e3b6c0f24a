/**
 * mosquitto's flags about TLS, and what they mean for the SDK's `connect`; and its flags for what is not done here,
 * which are known so that each is answered with what to do instead.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ConnectOptions } from '../client/api.js'
import { CommandError, ExitCode } from './exit-codes.js'

type TlsVersion = 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'

export interface TlsFlags {
  readonly cafile?: string
  readonly capath?: string
  readonly tlsUseOsCerts?: true
  readonly cert?: string
  readonly key?: string
  readonly insecure?: true
  readonly ciphers?: string
  readonly tlsVersion?: TlsVersion
  readonly tlsAlpn?: string
}

const VERSIONS: { readonly [name: string]: TlsVersion } = {
  'tlsv1.1': 'TLSv1.1',
  'tlsv1.2': 'TLSv1.2',
  'tlsv1.3': 'TLSv1.3',
}
/** Where Debian, Red Hat and Alpine keep whom the machine trusts. */
const OS_BUNDLES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem']
const NOT_HERE: { readonly [flag: string]: string } = {
  '--unix <path>': 'Connections go over TCP or WebSocket: use -h and -p, or --url.',
  '--proxy <url>': 'There is no SOCKS5 here; tunnel the port (ssh -L) and use -h and -p.',
  '--psk <key>': 'TLS with a pre-shared key is not spoken; use --cert and --key, or -u and -P.',
  '--psk-identity <name>': 'TLS with a pre-shared key is not spoken; use --cert and --key, or -u and -P.',
  '--tls-engine <engine>': 'Keys come from files: use --cert and --key.',
  '--tls-engine-kpass-sha1 <hash>': 'Keys come from files: use --cert and --key.',
}

export function addTlsFlags(command: Command): Command {
  command
    .option('--cafile <file>', 'who signed the certificate of the broker (PEM); for mqtts:// and wss://')
    .option('--capath <directory>', 'the same: every PEM file in it')
    .option('--tls-use-os-certs', 'the same: whom this machine trusts')
    .option('--cert <file>', 'our certificate (PEM)')
    .option('--key <file>', 'its private key (PEM)')
    .option('--keyform <form>', 'form of the private key: pem', keyForm)
    .option('--insecure', 'take any certificate')
    .option('--ciphers <list>', 'ciphers to offer, as OpenSSL lists them')
    .option('--tls-version <version>', 'tlsv1.3, tlsv1.2 or tlsv1.1, and no other', tlsVersion)
    .option('--tls-alpn <protocol>', 'protocol to ask for, on a port that speaks several')
  for (const [flag, instead] of Object.entries(NOT_HERE)) {
    const refuse = () => {
      throw new InvalidArgumentError(instead)
    }
    command.addOption(new Option(flag).hideHelp().argParser(refuse))
  }
  return command
}

/** Whoever names certificates wants TLS, as with mosquitto. */
export function impliesTls(flags: TlsFlags): boolean {
  return (flags.cafile ?? flags.capath ?? flags.tlsUseOsCerts ?? flags.cert) !== undefined
}

/** @throws CommandError when flags contradict each other, or a file cannot be read. */
export function tls(flags: TlsFlags, url: string): Pick<ConnectOptions, 'tls'> {
  const { cert, key, insecure, ciphers, tlsVersion, tlsAlpn } = flags
  const ca = trusted(flags)
  if ((ca ?? cert ?? key ?? insecure ?? ciphers ?? tlsVersion ?? tlsAlpn) === undefined) return {}
  if (!/^(mqtts|wss):/.test(url)) {
    throw usage('--cafile, --cert, --key, --insecure and the like: need an mqtts:// or wss:// url')
  }
  if ((cert === undefined) !== (key === undefined)) throw usage('--cert and --key: come together')
  return {
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert: pem('--cert', cert) }),
      ...(key === undefined ? {} : { key: pem('--key', key) }),
      ...(insecure === undefined ? {} : { rejectUnauthorized: false }),
      ...(ciphers === undefined ? {} : { ciphers }),
      ...(tlsVersion === undefined ? {} : { minVersion: tlsVersion, maxVersion: tlsVersion }),
      ...(tlsAlpn === undefined ? {} : { ALPNProtocols: [tlsAlpn] }),
    },
  }
}

/** @returns certificates; undefined: those that Node.js brings. */
function trusted({ cafile, capath, tlsUseOsCerts }: TlsFlags): string[] | undefined {
  if (cafile === undefined && capath === undefined && tlsUseOsCerts === undefined) return undefined
  const found = cafile === undefined ? [] : [pem('--cafile', cafile)]
  if (capath !== undefined) found.push(...directoryOfPems(capath))
  if (tlsUseOsCerts !== undefined) found.push(osBundle())
  return found
}

function directoryOfPems(directory: string): string[] {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch (error) {
    throw usage(`--capath: ${directory} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  const files = names.filter((name) => /\.(pem|crt|cer|\d+)$/.test(name))
  if (files.length === 0) throw usage(`--capath: there is no .pem, .crt or .cer file in ${directory}`)
  return files.map((name) => pem('--capath', `${directory}/${name}`))
}

function osBundle(): string {
  for (const file of OS_BUNDLES) {
    try {
      return readFileSync(file, 'utf8')
    } catch {
      // The next one.
    }
  }
  throw usage(`--tls-use-os-certs: there is none of ${OS_BUNDLES.join(', ')}; name a file with --cafile`)
}

function pem(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw usage(`${flag}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

function keyForm(text: string): 'pem' {
  if (text === 'pem') return text
  throw new InvalidArgumentError('Keys come from PEM files: pem.')
}

function tlsVersion(text: string): TlsVersion {
  const version = Object.hasOwn(VERSIONS, text) ? VERSIONS[text] : undefined
  if (version === undefined) throw new InvalidArgumentError(`It must be one of ${Object.keys(VERSIONS).join(', ')}.`)
  return version
}

function usage(message: string): CommandError {
  return new CommandError(ExitCode.USAGE, message)
}
