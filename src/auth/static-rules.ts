/**
 * Access from the configuration: known users with scrypt hashes or SCRAM keys, and a list of rules. Nothing is allowed
 * that no rule allows, and a rule that denies wins over every rule that allows. A filter is granted only if a rule
 * covers all of it; a denied part of it is caught at the delivery, which is authorised as well.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type {
  Access,
  AccessAction,
  AuthenticationExchange,
  AuthenticationRequest,
  AuthenticationResult,
  ExchangeRequest,
  Principal,
} from '../core/ports/access.js'
import { ReasonCode } from '../protocol/reason-codes.js'
import { parseScramCredential, SCRAM_SHA_256, ScramExchange, ScramUsers } from './scram-sha-256.js'
import { decoyLike, parseScryptHash, type ScryptHash, verifyPassword } from './scrypt-hash.js'
import { type FilterLevels, filterLevels, matchesTopic } from '../protocol/topics.js'
import { covers, fillIn, isPlainName } from './topic-rules.js'

export interface AccessUser {
  readonly username: string
  /** `$scrypt$ln=…,r=…,p=…$salt$hash`. Absent: no plain password is this user's. */
  readonly passwordHash?: string
  /** `$scram-sha-256$i=…$salt$storedKey$serverKey`. Absent: the method is not for this user. */
  readonly scramSha256?: string
}
export interface AccessRule {
  /** Absent: everybody. */
  readonly username?: string
  readonly clientId?: string
  readonly action: AccessAction | 'all'
  /** A level `%c` stands for the client id, `%u` for the user name. */
  readonly topicFilter: string
  readonly effect: 'allow' | 'deny'
}

/** The thread pool has four threads, and the disk needs some of them more. */
const VERIFICATIONS_AT_ONCE = 2
const VERIFICATIONS_WAITING_MAX = 1_000
/** Answers kept for one principal and action. */
const ANSWERS_MAX = 128
const ACTIONS: readonly AccessAction[] = ['publish', 'subscribe', 'receive']

const CLIENT_ID_REFUSAL: AuthenticationResult = {
  accepted: false,
  reasonCode: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
  detail: 'a client identifier has no / + # or U+0000 here',
}

interface CompiledRule extends AccessRule {
  readonly levels: FilterLevels
}
interface Grants {
  readonly allow: readonly FilterLevels[]
  readonly deny: readonly FilterLevels[]
  readonly answers: Map<string, boolean>
}
interface PrincipalRules {
  readonly username: string | null
  readonly clientId: string
  readonly grants: Readonly<Record<AccessAction, Grants>>
}

export class StaticRules implements Access {
  readonly allowsEverything = false
  readonly #users: ReadonlyMap<string, ScryptHash>
  readonly #scramUsers: ScramUsers
  readonly #decoy: ScryptHash
  readonly #rules: readonly CompiledRule[]
  readonly #needsPlainClientId: boolean
  readonly #rulesByPrincipal = new WeakMap<Principal, PrincipalRules>()
  /** Passwords that were right once, as keyed digests: a fleet that reconnects must not be hashed all over again. */
  readonly #provenPasswords = new Map<string, Buffer>()
  readonly #proofKey = randomBytes(32)
  readonly #waiting: (() => void)[] = []
  #verifying = 0

  /** @throws RangeError for a hash that is none: a typing error must not become an open door. */
  constructor(options: { readonly users: readonly AccessUser[]; readonly rules: readonly AccessRule[] }) {
    this.#users = parsedOf(options.users, 'passwordHash', parseScryptHash)
    this.#scramUsers = new ScramUsers(parsedOf(options.users, 'scramSha256', parseScramCredential))
    this.#decoy = decoyLike(this.#users.values().next().value)
    this.#rules = options.rules.map((rule) => ({ ...rule, levels: filterLevels(rule.topicFilter) }))
    this.#needsPlainClientId = this.#rules.some((rule) => rule.levels.includes('%c'))
  }

  authenticate(request: AuthenticationRequest): AuthenticationResult | Promise<AuthenticationResult> {
    const { username, password, clientId } = request.connect
    if (username === undefined || password === undefined) {
      return refusal(ReasonCode.BAD_USER_NAME_OR_PASSWORD, 'a user name and a password are needed here')
    }
    if (!isPlainName(username)) {
      return refusal(ReasonCode.BAD_USER_NAME_OR_PASSWORD, 'a user name has no / + # or U+0000')
    }
    if (this.#needsPlainClientId && !isPlainName(clientId)) {
      return CLIENT_ID_REFUSAL
    }
    if (this.#isProven(username, password)) return { accepted: true, username }
    if (this.#waiting.length >= VERIFICATIONS_WAITING_MAX) {
      return refusal(ReasonCode.SERVER_BUSY, 'too many passwords wait to be checked; try again later')
    }
    return this.#verify(username, password)
  }

  /** Every step answers at once. The rules about names are those of `authenticate`. */
  beginExchange(method: string, request: ExchangeRequest): AuthenticationExchange | null {
    if (method !== SCRAM_SHA_256 || this.#scramUsers.isEmpty) return null
    if (!this.#needsPlainClientId || isPlainName(request.clientId)) return new ScramExchange(this.#scramUsers)
    return { step: () => CLIENT_ID_REFUSAL }
  }

  authorize(principal: Principal, action: AccessAction, topic: string): boolean {
    const { answers, allow, deny } = this.#rulesFor(principal).grants[action]
    const known = answers.get(topic)
    if (known !== undefined) return known
    const answer = action === 'subscribe' ? mayUseFilter(allow, deny, topic) : mayUseTopic(allow, deny, topic)
    if (answers.size >= ANSWERS_MAX) answers.clear()
    answers.set(topic, answer)
    return answer
  }

  /** Never rejects; takes as long for a user who does not exist. */
  async #verify(username: string, password: Uint8Array): Promise<AuthenticationResult> {
    await this.#turnToVerify()
    try {
      // Somebody who came with it before has been hashed meanwhile: a fleet after a restart, for one.
      if (this.#isProven(username, password)) return { accepted: true, username }
      const hash = this.#users.get(username)
      const isRight = await verifyPassword(password, hash ?? this.#decoy)
      if (!isRight || hash === undefined) {
        return refusal(ReasonCode.BAD_USER_NAME_OR_PASSWORD, 'unknown user name or wrong password')
      }
      this.#provenPasswords.set(username, this.#proof(password))
      return { accepted: true, username }
    } catch {
      // Closed when in doubt: a hash that cannot be computed is nobody's password.
      return refusal(ReasonCode.SERVER_UNAVAILABLE, 'the password could not be checked')
    } finally {
      this.#verifying -= 1
      this.#waiting.shift()?.()
    }
  }

  async #turnToVerify(): Promise<void> {
    while (this.#verifying >= VERIFICATIONS_AT_ONCE) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#verifying += 1
  }

  #isProven(username: string, password: Uint8Array): boolean {
    const proven = this.#provenPasswords.get(username)
    return proven !== undefined && timingSafeEqual(proven, this.#proof(password))
  }

  #proof(password: Uint8Array): Buffer {
    return createHmac('sha256', this.#proofKey).update(password).digest()
  }

  #rulesFor(principal: Principal): PrincipalRules {
    const { username, clientId } = principal
    const known = this.#rulesByPrincipal.get(principal)
    // A session may come back with another user.
    if (known !== undefined && known.username === username && known.clientId === clientId) return known
    const made = { username, clientId, grants: grantsFor(this.#rules, username, clientId) }
    this.#rulesByPrincipal.set(principal, made)
    return made
  }
}

function parsedOf<P>(
  users: readonly AccessUser[],
  field: 'passwordHash' | 'scramSha256',
  parse: (text: string) => P,
): ReadonlyMap<string, P> {
  const parsed = new Map<string, P>()
  for (const user of users) {
    const text = user[field]
    if (text === undefined) continue
    try {
      parsed.set(user.username, parse(text))
    } catch (error) {
      throw new RangeError(`access.users, ${user.username}: ${(error as Error).message}`)
    }
  }
  return parsed
}

function refusal(reasonCode: number, detail: string): AuthenticationResult {
  return { accepted: false, reasonCode, detail }
}

function grantsFor(
  rules: readonly CompiledRule[],
  username: string | null,
  clientId: string,
): Readonly<Record<AccessAction, Grants>> {
  const of = (action: AccessAction): Grants => {
    const allow: FilterLevels[] = []
    const deny: FilterLevels[] = []
    for (const rule of rules) {
      if (rule.action !== action && rule.action !== 'all') continue
      if (rule.username !== undefined && rule.username !== username) continue
      if (rule.clientId !== undefined && rule.clientId !== clientId) continue
      const levels = fillIn(rule.levels, clientId, username)
      if (levels !== null) (rule.effect === 'allow' ? allow : deny).push(levels)
    }
    return { allow, deny, answers: new Map() }
  }
  const [publish, subscribe, receive] = ACTIONS.map(of) as [Grants, Grants, Grants]
  return { publish, subscribe, receive }
}

function mayUseTopic(allow: readonly FilterLevels[], deny: readonly FilterLevels[], topicName: string): boolean {
  return (
    !deny.some((filter) => matchesTopic(filter, topicName)) && allow.some((filter) => matchesTopic(filter, topicName))
  )
}

function mayUseFilter(allow: readonly FilterLevels[], deny: readonly FilterLevels[], topicFilter: string): boolean {
  const asked = filterLevels(topicFilter)
  return !deny.some((filter) => covers(filter, asked)) && allow.some((filter) => covers(filter, asked))
}
