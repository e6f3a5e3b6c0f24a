/** Programs of others that some tests talk to. Without them a test is skipped; in CI they must be there. */
import { spawnSync } from 'node:child_process'

/** @returns options for a test: `{}` or a reason to skip. @throws Error where every peer is required. */
export function needs(program: string): { skip?: string } {
  if (spawnSync('sh', ['-c', `command -v ${program}`]).status === 0) return {}
  if (process.env.TALLYMQ_REQUIRE_PEERS === '1')
    throw new Error(`${program} is not installed and TALLYMQ_REQUIRE_PEERS is set`)
  return { skip: `${program} is not installed` }
}
