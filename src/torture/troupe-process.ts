/** The parent's side of a worker process: questions and answers, in any order. Ends with the parent at the latest. */
import { type ChildProcess, fork } from 'node:child_process'
import type { Answer, Command, Question } from './worker.js'

const PROGRAM = new URL('./worker.js', import.meta.url).pathname

export class TroupeProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>()
  #questions = 0
  #isEnding = false

  /** @param onFault a worker that ends by itself can no longer say what it knows. */
  constructor(name: string, onFault: (error: Error) => void) {
    // It has its own standard error, so that a crash of a worker can be read.
    // And its own process group: Ctrl-C is for the parent, which then wants the verdict.
    this.#child = fork(PROGRAM, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [], detached: true })
    this.#child.on('message', ({ id, answer }: Answer) => {
      this.#waiting.get(id)?.resolve(answer)
      this.#waiting.delete(id)
    })
    this.#child.once('exit', (code, signal) => {
      const error = new Error(`the process of ${name} ended by itself (${signal ?? `exit code ${code}`})`)
      for (const { reject } of this.#waiting.values()) reject(error)
      if (!this.#isEnding) onFault(error)
    })
  }

  ask<T = unknown>(command: Command): Promise<T> {
    const id = ++this.#questions
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (answer: unknown) => void, reject })
      this.#child.send({ id, command } satisfies Question, (error) => {
        if (error !== null) reject(error)
      })
    })
  }

  end(): Promise<void> {
    this.#isEnding = true
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve()
    return new Promise((resolve) => {
      this.#child.once('exit', () => resolve())
      this.#child.kill('SIGKILL')
    })
  }
}
