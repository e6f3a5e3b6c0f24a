/** Keep Alive: the window, the moment it ends, and what the broker grants. */
import t from 'tap'
import {
  grantedKeepAliveSec,
  isKeepAliveOverdue,
  keepAliveDeadlineMs,
  keepAliveWindowMs,
} from '../../../src/core/keep-alive.js'

t.test('a client may be silent for one and a half times its Keep Alive', async (t) => {
  t.equal(keepAliveWindowMs(1), 1_500)
  t.equal(keepAliveWindowMs(60), 90_000)
  t.equal(keepAliveWindowMs(65_535), 98_302_500)
  t.equal(keepAliveDeadlineMs(1_000, 60), 91_000)
  t.equal(isKeepAliveOverdue(1_000, 60, 90_999), false)
  t.equal(isKeepAliveOverdue(1_000, 60, 91_000), true)
})

t.test('a Keep Alive of 0 is never overdue', async (t) => {
  t.equal(keepAliveWindowMs(0), Number.POSITIVE_INFINITY)
  t.equal(keepAliveDeadlineMs(1_000, 0), Number.POSITIVE_INFINITY)
  t.equal(isKeepAliveOverdue(0, 0, Number.MAX_SAFE_INTEGER), false)
})

t.test('who asks for more than the bound, or for none, gets the bound', async (t) => {
  t.equal(grantedKeepAliveSec(60, 3_600), 60)
  t.equal(grantedKeepAliveSec(3_600, 3_600), 3_600)
  t.equal(grantedKeepAliveSec(3_601, 3_600), 3_600)
  t.equal(grantedKeepAliveSec(0, 3_600), 3_600)
  t.equal(grantedKeepAliveSec(0, 0), 0)
  t.equal(grantedKeepAliveSec(65_535, 0), 65_535)
})
