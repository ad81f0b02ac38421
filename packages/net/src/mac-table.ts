// Which port an Ethernet address was last seen behind (IEEE 802.1D, 7.8 and 7.9). Bounded: with the table full the entry heard of longest ago makes room.

export class MacTable<Place> {
  readonly #entries = new Map<number, { place: Place; seenMs: number }>();
  readonly #limit: number;
  readonly #ageMs: number;

  constructor(limit: number, ageMs: number) {
    this.#limit = limit;
    this.#ageMs = ageMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  learn(mac: number, place: Place, nowMs: number): void {
    const entry = this.#entries.get(mac);
    if (entry !== undefined) {
      entry.place = place;
      // The order of the map is that of ages, to a tenth of the age.
      if (nowMs - entry.seenMs > this.#ageMs / 10) {
        entry.seenMs = nowMs;
        this.#entries.delete(mac);
        this.#entries.set(mac, entry);
      }
      return;
    }
    if (this.#entries.size >= this.#limit) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    this.#entries.set(mac, { place, seenMs: nowMs });
  }

  find(mac: number, nowMs: number): Place | undefined {
    const entry = this.#entries.get(mac);
    if (entry === undefined) return undefined;
    if (nowMs - entry.seenMs <= this.#ageMs) return entry.place;
    this.#entries.delete(mac);
    return undefined;
  }

  forget(place: Place): void {
    for (const [mac, entry] of this.#entries) if (entry.place === place) this.#entries.delete(mac);
  }
}
