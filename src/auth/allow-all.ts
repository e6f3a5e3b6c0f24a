/** Everybody may do everything: for a laptop. The listeners refuse to put this on a network without being told to. */
import type { Access } from '../core/ports/access.js'
import { isPlainName } from './topic-rules.js'

export const allowAll: Access = {
  allowsEverything: true,
  authenticate: ({ connect }) => ({
    accepted: true,
    // Only a label here, but one that must never look like a topic.
    username: connect.username !== undefined && isPlainName(connect.username) ? connect.username : null,
  }),
  authorize: () => true,
}
