/**
 * Retained messages by topic name, and the walk that finds those a new subscription matches. Decides nothing about
 * expiry, quotas or access. A walk is lazy and may rest for many turns while the tree changes.
 *
 * Why that is safe without a copy: a topic that stays keeps its nodes in their places, JavaScript Maps may be changed
 * while they are iterated, and a topic that came (or came back) after the walk began bears a later stamp and is left
 * out: its publication has reached the new subscription anyway. So nothing comes twice, and what stayed comes.
 * A node is four fields and holds an only child directly: a million topics are two million nodes.
 */
interface Retained {
  readonly topicName: string
}

class RetainedNode<M> {
  readonly level: string
  /** Never goes back from Map to only child: a resting walk may hold the Map. */
  children: RetainedNode<M> | Map<string, RetainedNode<M>> | null = null
  message: M | null = null
  /** How many walks had begun when this topic got a message. */
  stamp = 0

  constructor(level: string) {
    this.level = level
  }
}

export class RetainedTree<M extends Retained> {
  readonly #root = new RetainedNode<M>('')
  #size = 0
  #walks = 0

  get size(): number {
    return this.#size
  }

  get(topicName: string): M | undefined {
    return this.#find(topicName)?.message ?? undefined
  }

  /** @returns the message it replaces. */
  set(message: M): M | undefined {
    const topicName = message.topicName
    let node = this.#root
    for (let start = 0; start <= topicName.length; ) {
      const end = levelEnd(topicName, start)
      node = childOrNew(node, topicName.slice(start, end))
      start = end + 1
    }
    const previous = node.message
    node.message = message
    if (previous !== null) return previous
    node.stamp = this.#walks
    this.#size += 1
    return undefined
  }

  /** @returns what was removed. */
  remove(topicName: string): M | undefined {
    const path: RetainedNode<M>[] = []
    const node = this.#find(topicName, path)
    if (node === undefined || node.message === null) return undefined
    const removed = node.message
    node.message = null
    this.#size -= 1
    for (let depth = path.length - 1; depth > 0; depth -= 1) {
      const last = path[depth] as RetainedNode<M>
      if (last.message !== null || last.children !== null) break
      removeChild(path[depth - 1] as RetainedNode<M>, last)
    }
    return removed
  }

  /**
   * Every message whose topic matches, in no particular order, at the time it is asked for.
   * @param topicFilter valid, without the `$share` prefix (shared subscriptions get no retained messages).
   */
  iterate(topicFilter: string): RetainedWalk<M> {
    this.#walks += 1
    // A filter that starts with a wildcard does not match a topic that starts with $ [v5 MQTT-4.7.2-1].
    const skipsDollar = topicFilter.startsWith('+') || topicFilter.startsWith('#')
    return new RetainedWalk(this.#root, topicFilter, this.#walks, skipsDollar)
  }

  /** Every message there is, topics that start with $ too. */
  iterateAll(): RetainedWalk<M> {
    this.#walks += 1
    return new RetainedWalk(this.#root, '#', this.#walks, false)
  }

  #find(topicName: string, path?: RetainedNode<M>[]): RetainedNode<M> | undefined {
    let node: RetainedNode<M> | undefined = this.#root
    path?.push(node)
    for (let start = 0; start <= topicName.length; ) {
      const end = levelEnd(topicName, start)
      node = childOf(node, topicName.slice(start, end))
      if (node === undefined) return undefined
      path?.push(node)
      start = end + 1
    }
    return node
  }
}

/** Where a walk is among the children of one node. */
interface Frame<M> {
  readonly children: Iterator<RetainedNode<M>>
  /** Filter levels used up on the way to these children. */
  readonly depth: number
  readonly skipsDollar: boolean
}

/** One subscription's way through the tree. */
export class RetainedWalk<M> implements IterableIterator<M> {
  readonly #levels: readonly string[]
  readonly #stamp: number
  readonly #frames: Frame<M>[] = []
  /** To be looked at before the frames. */
  #node: RetainedNode<M> | null
  #depth = 0
  #skipsDollar: boolean
  #done = false

  /** @param stamp the number of this walk; topics stamped with it or later came after it began. */
  constructor(root: RetainedNode<M>, topicFilter: string, stamp: number, skipsDollar: boolean) {
    this.#levels = topicFilter.split('/')
    this.#stamp = stamp
    this.#node = root
    this.#skipsDollar = skipsDollar
  }

  /** Nothing is left. */
  get done(): boolean {
    return this.#done
  }

  [Symbol.iterator](): IterableIterator<M> {
    return this
  }

  next(): IteratorResult<M> {
    const value = this.advance(Number.POSITIVE_INFINITY)
    return value === undefined ? { done: true, value: undefined } : { done: false, value }
  }

  /**
   * The next message, looking at no more than `nodesMax` nodes: a filter such as `+/+/x` may pass a million topics and
   * match none, which must not hold up everybody else's turn.
   * @returns undefined when nothing is left (`done`), or when the nodes are used up (not `done`): ask again later.
   */
  advance(nodesMax: number): M | undefined {
    for (let nodes = 0; nodes < nodesMax; nodes += 1) {
      const node = this.#node ?? this.#nextFromFrames()
      if (node === null) {
        this.#done = true
        return undefined
      }
      this.#node = null
      const message = this.#visit(node)
      if (message !== undefined) return message
    }
    return undefined
  }

  #nextFromFrames(): RetainedNode<M> | null {
    for (;;) {
      const frame = this.#frames.at(-1)
      if (frame === undefined) return null
      const next = frame.children.next()
      if (next.done === true) {
        this.#frames.pop()
      } else if (!(frame.skipsDollar && next.value.level.startsWith('$'))) {
        this.#depth = frame.depth
        return next.value
      }
    }
  }

  /** Steps to where the filter goes on from here. @returns the node's own message when the filter ends here. */
  #visit(node: RetainedNode<M>): M | undefined {
    const level = this.#levels[this.#depth]
    if (level === '#') this.#descend(node, this.#depth)
    else if (level === '+') this.#descend(node, this.#depth + 1)
    else if (level !== undefined) {
      this.#node = childOf(node, level) ?? null
      this.#depth += 1
    }
    const isEnd = level === undefined || level === '#' // `a/#` matches `a` too
    return isEnd && node.message !== null && node.stamp < this.#stamp ? node.message : undefined
  }

  #descend(node: RetainedNode<M>, depth: number): void {
    const children = node.children
    const skipsDollar = this.#skipsDollar
    this.#skipsDollar = false // only for the first level
    if (children === null) return
    if (children instanceof Map) {
      this.#frames.push({ children: children.values(), depth, skipsDollar })
    } else if (!(skipsDollar && children.level.startsWith('$'))) {
      this.#node = children
      this.#depth = depth
    }
  }
}

function levelEnd(topicName: string, start: number): number {
  const slash = topicName.indexOf('/', start)
  return slash === -1 ? topicName.length : slash
}

function childOf<M>(node: RetainedNode<M>, level: string): RetainedNode<M> | undefined {
  const children = node.children
  if (children instanceof Map) return children.get(level)
  return children !== null && children.level === level ? children : undefined
}

function childOrNew<M>(node: RetainedNode<M>, level: string): RetainedNode<M> {
  const known = childOf(node, level)
  if (known !== undefined) return known
  const child = new RetainedNode<M>(level)
  const children = node.children
  if (children === null) node.children = child
  else if (children instanceof Map) children.set(level, child)
  else {
    node.children = new Map([
      [children.level, children],
      [level, child],
    ])
  }
  return child
}

function removeChild<M>(node: RetainedNode<M>, child: RetainedNode<M>): void {
  if (node.children instanceof Map) {
    node.children.delete(child.level)
    if (node.children.size === 0) node.children = null
  } else {
    node.children = null
  }
}
