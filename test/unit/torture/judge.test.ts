/** The judge of the torture, with books written by hand: what it must condemn, what QoS 1 and share groups allow. */
import { readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { BookWriter, bookPath } from '../../../src/torture/books.js'
import type { ConsumerRole, PublisherRole, Troupe } from '../../../src/torture/cast.js'
import { Judge } from '../../../src/torture/judge.js'
import { payloadOf, readPayload } from '../../../src/torture/messages.js'

const publisher = (name: string, qos: 1 | 2, retain = false): PublisherRole => {
  const usual = {
    kind: 'publisher',
    wire: 'mqtt 5',
    topics: ['t/x', 't/y'],
    window: 1,
    isCareless: false,
    promisedBy: 'PUBREC',
    by: 'publish',
  } as const
  return { ...usual, name, qos, retain }
}
const consumer = (name: string, group: string | null = null): ConsumerRole => {
  const usual = {
    kind: 'consumer',
    wire: 'mqtt 5',
    qos: 2,
    topicFilter: 't/#',
    laziness: 0,
    hasCursor: false,
    isSleeper: false,
    by: 'packets',
  } as const
  return { ...usual, name, group }
}
const CAST: readonly Troupe[] = [
  { name: 'publishers', isMortal: false, roles: [publisher('p1', 1), publisher('p2', 2), publisher('gauge', 1, true)] },
  {
    name: 'consumers',
    isMortal: false,
    roles: [consumer('billing'), consumer('m1', 'group'), consumer('m2', 'group')],
  },
]
const NOTHING = { p1: '', p2: '', gauge: '', billing: '', m1: '', m2: '' }

function judge(t: Test, books: Partial<typeof NOTHING>): Judge {
  const directory = t.testdir()
  for (const [name, text] of Object.entries({ ...NOTHING, ...books })) {
    const lines = text.split('\n').map((line) => line.trim())
    writeFileSync(
      bookPath(directory, name),
      lines
        .filter((line) => line !== '')
        .map((line) => `${line}\n`)
        .join(''),
    )
  }
  const judge = new Judge(CAST, directory)
  judge.read()
  return judge
}

const FINE = { lost: 0, duplicated: 0, outOfOrder: 0, sessionsLost: 0, breaches: 0, sentences: [] }

t.test('books that balance', async (t) => {
  const balanced = judge(t, {
    p1: 'S 1 t/y\nS 2 t/x\nA 1\nA 2',
    p2: 'S 1 t/y\nA 1',
    billing: 'D p1 1 t/y 1\nD p2 1 t/y 2\nD p1 2 t/x 1',
    m1: 'D p1 1 t/y 1',
    m2: 'D p1 2 t/x 1\nD p2 1 t/y 2',
  })
  t.ok(balanced.isComplete())
  t.match(balanced.verdict(), { ...FINE, published: 3, acknowledged: 3, delivered: 6, repeated: 0 })
})

t.test('acknowledged and not delivered is lost, by each who is owed it', async (t) => {
  const found = judge(t, {
    p2: 'S 1 t/y\nS 2 t/x\nA 1\nA 2',
    billing: 'D p2 2 t/x 2',
    m1: 'D p2 1 t/y 2\nD p2 2 t/x 2',
  })
  t.notOk(found.isComplete())
  t.match(found.verdict(), {
    ...FINE,
    lost: 1,
    lostBy: { billing: 1 },
    sentences: ['p2:1 (QoS 2) was acknowledged and never came to billing'],
  })
})

t.test('what was never acknowledged, refused or given up may be missing, or come once', async (t) => {
  const found = judge(t, { p2: 'S 1 t/y\nS 2 t/x\nS 3 t/y\nX 1\nR 2 151', billing: 'D p2 1 t/y 2' })
  t.ok(found.isComplete())
  t.match(found.verdict(), { ...FINE, delivered: 1, refused: 1 })
})

t.test('twice is wrong at QoS 2, also when two members of a group got one each; at QoS 1 it is counted', async (t) => {
  const sent = 'S 1 t/y\nA 1'
  const found = judge(t, {
    p1: sent,
    p2: sent,
    billing: 'D p1 1 t/y 1\nD p1 1 t/y 1\nD p2 1 t/y 2\nD p2 1 t/y 2',
    m1: 'D p1 1 t/y 1\nD p2 1 t/y 2',
    m2: 'D p2 1 t/y 2',
  })
  const sentences = ['billing got p2:1 (QoS 2) 2 times', 'group got p2:1 (QoS 2) 2 times']
  t.match(found.verdict(), { ...FINE, duplicated: 2, repeated: 1, sentences })
})

t.test('first arrivals of one publisher on one topic come in the order of publishing', async (t) => {
  const found = judge(t, {
    p1: 'S 1 t/x\nS 2 t/x\nS 3 t/x\nS 4 t/y',
    billing: 'D p1 4 t/y 1\nD p1 1 t/x 1\nD p1 3 t/x 1\nD p1 1 t/x 1\nD p1 2 t/x 1',
  })
  t.match(found.verdict(), { ...FINE, outOfOrder: 1, sentences: ['billing got p1:2 behind p1:3 on t/x'] })
})

t.test('nobody has sent it, clients complain, sessions are gone', async (t) => {
  const found = judge(t, { p1: '! PUBCOMP of 3 came, which waits for none', billing: 'D p1 7 t/x 1\nN' })
  const { sentences, ...figures } = found.verdict()
  t.match(figures, { breaches: 2, sessionsLost: 1, lost: 0 })
  t.match(sentences.join('\n'), /p1: PUBCOMP of 3 came/)
  t.match(sentences.join('\n'), /billing got p1:7, which nobody has sent/)
  t.match(sentences.join('\n'), /had lost the session of billing/)
})

t.test('a retained value is not older than what was acknowledged before somebody asked', async (t) => {
  const book = 'S 1 r/x\nA 1\nS 2 r/y\nA 2\nS 3 r/x\nA 3\nS 5 r/x'
  const found = judge(t, { gauge: book })
  t.same(
    [...found.retainedPromises()],
    [
      ['r/x', 3],
      ['r/y', 2],
    ],
  )
  found.checkRetained(
    found.retainedPromises(),
    new Map([
      ['r/x', 5],
      ['r/y', 2],
    ]),
  )
  t.equal(found.verdict().lost, 0)
  for (const values of [[['r/x', 1]], [['r/x', 6]], []] as [string, number][][]) {
    const stale = judge(t, { gauge: book })
    stale.checkRetained(new Map([['r/x', 3]]), new Map(values))
    t.equal(stale.verdict().lost, 1, JSON.stringify(values))
  }
})

t.test('a book is read on where reading stopped, half a line waits', async (t) => {
  const directory = t.testdir()
  const judge = new Judge(CAST, directory)
  const book = new BookWriter(bookPath(directory, 'p1'))
  book.add('S', 1, 't/x')
  t.equal(judge.read(), 0, 'nothing is written before it is written')
  book.write()
  writeFileSync(bookPath(directory, 'p1'), 'S 2 t', { flag: 'a' })
  t.equal(judge.read(), 1)
  writeFileSync(bookPath(directory, 'p1'), '/x\nA 2\n', { flag: 'a' })
  t.equal(judge.read(), 2)
  t.match(judge.verdict(), { published: 2, acknowledged: 1, lost: 2 })
})

t.test('a line that was torn when its writer was killed counts for nothing', async (t) => {
  const directory = t.testdir()
  const path = bookPath(directory, 'p1')
  const judge = new Judge(CAST, directory)
  writeFileSync(path, 'S 1 t/y\nA 1\nS 23')
  t.equal(judge.read(), 2)
  const next = new BookWriter(path)
  next.add('S', 2, 't/x')
  next.write()
  judge.read()
  // A whole book is left alone.
  new BookWriter(path).write()
  t.equal(readFileSync(path, 'utf8'), 'S 1 t/y\nA 1\nS 23~\nS 2 t/x\n')
  t.match(judge.verdict(), { published: 2, acknowledged: 1, breaches: 0 })
})

t.test('what a process says again that its dead predecessor has said counts once', async (t) => {
  const found = judge(t, {
    p2: 'S 1 t/y\nA 1\nS 2 t/x\nS 2 t/x\nA 1\nA 2',
    billing: 'D p2 1 t/y 2 7 1\nD p2 2 t/x 2 7 2',
  })
  t.match(found.verdict(), { published: 2, acknowledged: 2, delivered: 2, breaches: 0, lostBy: { group: 2 } })
})

t.test('a damaged body shows', async (t) => {
  const payload = Buffer.from(payloadOf('p1', 97))
  t.equal(payload.length > 4_096, true, 'now and then more than a page')
  t.same(readPayload(payload), { publisher: 'p1', order: 97 })
  t.match(readPayload(payload.subarray(0, -1)), /damaged/)
  t.match(readPayload(Buffer.from(payload).fill('y', 100, 101)), /damaged/)
})
