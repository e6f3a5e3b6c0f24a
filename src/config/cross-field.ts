/**
 * Contradictions between options that are each right in themselves. A section that is missing here was wrong already;
 * what concerns it is then not judged.
 */
import type { Options } from './option-table.js'
import type { OptionsProblem } from './problems.js'

export function crossFieldProblems(options: Partial<Options>, input: unknown): OptionsProblem[] {
  const problems: OptionsProblem[] = []
  const { listen, access } = options
  if (listen !== undefined && access?.mode === 'allow-all' && !access.allowPublicAnonymous) {
    if (!isLoopback(listen.host)) {
      problems.push({
        path: 'listen.host',
        message:
          `'${listen.host}' is reachable from outside while access.mode is 'allow-all'; ` +
          "set access.mode to 'rules', or access.allowPublicAnonymous to true if everybody may do everything",
      })
    }
  }
  if (listen !== undefined && listen.httpPort !== 0 && listen.httpPort === listen.mqttPort) {
    problems.push({ path: 'listen.mqttPort', message: 'is the same as listen.httpPort; they need one port each' })
  }
  if (listen !== undefined) problems.push(...tlsProblems(listen))
  const durability = givenAt(input, 'durability')
  if (options.store === 'memory' && (durability === 'flush' || durability === 'os')) {
    problems.push({
      path: 'durability',
      message: `'${durability}' was given, but store 'memory' keeps nothing on disk; leave it out, or use store 'lmdb'`,
    })
  }
  if (access !== undefined) problems.push(...accessProblems(access))
  return problems
}

function tlsProblems({ tls, httpTls, httpPort, mqttPort }: Options['listen']): OptionsProblem[] {
  const problems: OptionsProblem[] = []
  const { port, certificateFile, keyFile, caFile } = tls
  if ((certificateFile === null) !== (keyFile === null)) {
    const missing = certificateFile === null ? 'certificateFile' : 'keyFile'
    problems.push({ path: `listen.tls.${missing}`, message: 'is missing; a certificate and its key come together' })
  }
  if (httpTls && certificateFile === null) {
    problems.push({ path: 'listen.httpTls', message: 'is true, but there is no listen.tls.certificateFile' })
  }
  if (tls.requestClientCertificate && caFile === null) {
    const message = 'is missing; without it no certificate of a client can be checked'
    problems.push({ path: 'listen.tls.caFile', message })
  }
  if (certificateFile !== null && port !== null && port !== 0 && (port === httpPort || port === mqttPort)) {
    const taken = port === httpPort ? 'listen.httpPort' : 'listen.mqttPort'
    problems.push({ path: 'listen.tls.port', message: `is the same as ${taken}; they need one port each` })
  }
  return problems
}

function accessProblems(access: Options['access']): OptionsProblem[] {
  const problems: OptionsProblem[] = []
  if (access.mode === 'allow-all' && (access.users.length > 0 || access.rules.length > 0)) {
    problems.push({
      path: 'access.mode',
      message: "is 'allow-all', so users and rules have no effect; set it to 'rules' or leave them out",
    })
  }
  const seen = new Set<string>()
  access.users.forEach((user, index) => {
    if (seen.has(user.username)) {
      problems.push({ path: `access.users[${index}].username`, message: `'${user.username}' stands here twice` })
    }
    seen.add(user.username)
    if (user.passwordHash === undefined && user.scramSha256 === undefined) {
      problems.push({
        path: `access.users[${index}]`,
        message: 'has neither passwordHash nor scramSha256, so nobody could ever connect as this user',
      })
    }
  })
  access.rules.forEach((rule, index) => {
    if (rule.username !== undefined && !seen.has(rule.username)) {
      problems.push({
        path: `access.rules[${index}].username`,
        message: `'${rule.username}' is none of access.users; nobody could ever match this rule`,
      })
    }
  })
  return problems
}

/** Only names and addresses that can never leave the machine. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  return bare === 'localhost' || bare === '::1' || /^127(\.\d{1,3}){3}$/.test(bare)
}

function givenAt(input: unknown, ...path: readonly string[]): unknown {
  let value = input
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}
