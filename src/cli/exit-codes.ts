/** What the exit codes mean; `--help` prints this table. Scripts compare them, so they stay. */
export const ExitCode = {
  OK: 0,
  /** No connection, a lost one, a file that cannot be read, a port that is taken; `ledger verify` found something. */
  FAILED: 1,
  /** The broker said no: wrong password, not allowed to publish or subscribe. */
  REFUSED: 5,
  /** `-W` ran out; the number is mosquitto_sub's. */
  TIMED_OUT: 27,
  /** sysexits EX_USAGE. */
  USAGE: 64,
  /** sysexits EX_NOINPUT: there is no data directory to look at, or a broker holds it. */
  NOTHING_TO_READ: 66,
  /** sysexits EX_SOFTWARE: a broker that stopped itself, because of its disk or a fault in itself. */
  BROKER_STOPPED: 70,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

export const EXIT_CODES_HELP = `
Exit codes:
  0   done
  1   failed: no connection, a lost one, a file or a port that cannot be had; \`ledger verify\` found problems
  5   refused by the broker: wrong password, or not allowed
  27  -W ran out
  64  wrong arguments
  66  no data directory to look at, or a broker holds it
  70  the broker stopped itself because of its disk or a fault
  137 the same, by SIGKILL, with a write that the disk never answered
`

/** Ends a command with a sentence on stderr. The message says what to do. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode
  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}
