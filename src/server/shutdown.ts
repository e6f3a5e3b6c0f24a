/**
 * The orderly end: no new connections, no new packets, what was accepted is committed and acknowledged, everybody is
 * told, and only then the store closes. After a failure nothing is committed any more: sockets and store only.
 */
import type { Server } from 'node:net'
import type { Store } from '../core/ports/store.js'
import { stopListening } from './listeners.js'
import type { Shell } from './shell.js'

export interface ShutdownParts {
  readonly servers: readonly Server[]
  readonly shell: Shell
  readonly store: Store
  /** How long peers may take to close after they have been told. */
  readonly graceMs: number
  readonly onStopped: () => void
}

export class Shutdown {
  readonly #parts: ShutdownParts
  #stopped: Promise<void> | null = null

  constructor(parts: ShutdownParts) {
    this.#parts = parts
  }

  /** Every call gives the same promise. @param serverReference where MQTT 5 clients should go instead. */
  stop(serverReference?: string): Promise<void> {
    this.#stopped ??= this.#stop(serverReference)
    return this.#stopped
  }

  async #stop(serverReference: string | undefined): Promise<void> {
    const { servers, shell, store, graceMs, onStopped } = this.#parts
    for (const server of servers) stopListening(server)
    try {
      await this.#sayGoodbye(serverReference)
      await shell.allGone(graceMs)
      // Sessions have been told that their connections are gone: that is durable too.
      if (shell.state !== 'failed') await shell.turn.idle()
    } finally {
      shell.stop()
      for (const server of servers) (server as Partial<{ closeAllConnections(): void }>).closeAllConnections?.()
      await store.close()
      onStopped()
    }
  }

  async #sayGoodbye(serverReference: string | undefined): Promise<void> {
    const { shell } = this.#parts
    if (shell.state === 'failed') return
    shell.beginDraining()
    await shell.turn.idle()
    if (shell.turn.hasFailed) return
    shell.core.drain(shell.clock.nowMs(), serverReference)
    await shell.turn.idle()
  }
}
