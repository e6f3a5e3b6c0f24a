/** A copy of a data directory as a backup has it: files. Locks of a broker that was killed are sockets, and stay. */
import { cpSync, statSync } from 'node:fs'

export function copyDirectory(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: (path) => !statSync(path).isSocket() })
}
