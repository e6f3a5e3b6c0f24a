/**
 * SHA-256 for places where the platform's own is not at hand: the core has no `node:`, and the browser's answers with a
 * promise. The one door to `@noble/hashes`. Where speed matters the platform's is handed in, see `stream-digest.ts`.
 */
export { SHA256 as Sha256, sha256 } from '@noble/hashes/sha2'
