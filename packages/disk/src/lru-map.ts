// A bounded number of values, those that were asked for last. Their order is kept by links: a key that is deleted from a Map and set again leaves its old place in V8's
// chains until the table is made anew, so who moves keys to a Map's end looks longer and longer for those that are used most.

interface Link<K, V> {
  readonly key: K;
  value: V;
  older: Link<K, V>;
  newer: Link<K, V>;
}

export class LruMap<K, V> {
  readonly #capacity: number;
  readonly #links = new Map<K, Link<K, V>>();
  /** Closes the ring: its `newer` is the oldest, its `older` the newest. */
  readonly #ring: Link<K, V>;

  constructor(capacity: number) {
    this.#capacity = capacity;
    const ring = {} as Link<K, V>;
    ring.older = ring;
    ring.newer = ring;
    this.#ring = ring;
  }

  get size(): number {
    return this.#links.size;
  }

  /** It is the newest then. */
  get(key: K): V | undefined {
    const link = this.#links.get(key);
    if (link === undefined) return undefined;
    if (this.#ring.older !== link) {
      unlink(link);
      this.#append(link);
    }
    return link.value;
  }

  /** Without making it newer. */
  peek(key: K): V | undefined {
    return this.#links.get(key)?.value;
  }

  /** As the newest; the oldest goes where there is no room. */
  set(key: K, value: V): void {
    const known = this.#links.get(key);
    if (known !== undefined) {
      known.value = value;
      this.get(key);
      return;
    }
    const link: Link<K, V> = { key, value, older: this.#ring, newer: this.#ring };
    this.#append(link);
    this.#links.set(key, link);
    if (this.#links.size > this.#capacity) this.delete(this.#ring.newer.key);
  }

  delete(key: K): void {
    const link = this.#links.get(key);
    if (link === undefined) return;
    this.#links.delete(key);
    unlink(link);
  }

  clear(): void {
    this.#links.clear();
    this.#ring.older = this.#ring;
    this.#ring.newer = this.#ring;
  }

  #append(link: Link<K, V>): void {
    const last = this.#ring.older;
    link.older = last;
    link.newer = this.#ring;
    last.newer = link;
    this.#ring.older = link;
  }
}

function unlink<K, V>(link: Link<K, V>): void {
  link.older.newer = link.newer;
  link.newer.older = link.older;
}
