/** When a layer will run again, learned from the order in which layers run: cyclic while decoding, rare for the encoder. */

/** Weight of the newest cycle once many have been seen: follows a change of sentence lengths within some dozen. */
const LEAST_WEIGHT = 0.002;
const MOST_SEEN = 1000;

/**
 * For every pair of layers (here, there) the expectation of exp(-v / patience), where v is the number of visits from
 * one of `here` to the next of `there`. The expectation of the exponential is kept, not the exponential of an
 * expected v: sentence lengths vary, and an encoder layer that may or may not run soon is no layer that surely runs
 * somewhat later.
 */
export class Rhythm {
  readonly #nearness: Float64Array;
  /** Of each pair, since `there` ran last: visits of `here`, the sum of their exp(-age / patience), and all ever seen. */
  readonly #open: Float64Array;
  readonly #faded: Float64Array;
  readonly #seen: Float64Array;
  #fade = 0;

  /** @param patienceVisits visits after which a use counts for 1/e of one at once */
  constructor(readonly layers: number, patienceVisits: number) {
    const pairs = layers * layers;
    this.#nearness = new Float64Array(pairs).fill(0);
    this.#open = new Float64Array(pairs);
    this.#faded = new Float64Array(pairs);
    this.#seen = new Float64Array(pairs);
    this.waitFor(patienceVisits);
  }

  /** Another patience, for all that comes; what was learned with the one before fades out. */
  waitFor(patienceVisits: number): void {
    this.#fade = Math.exp(-1 / patienceVisits);
  }

  /** A layer runs. */
  visit(layer: number): void {
    const { layers } = this;
    for (let pair = 0; pair < this.#faded.length; pair++) this.#faded[pair]! *= this.#fade;
    for (let here = 0; here < layers; here++) {
      const pair = here * layers + layer;
      const count = this.#open[pair]!;
      if (count > 0) {
        const seen = Math.min(this.#seen[pair]! + count, MOST_SEEN);
        const weight = Math.max(count / seen, Math.min(1, count * LEAST_WEIGHT));
        this.#nearness[pair]! += (this.#faded[pair]! / count - this.#nearness[pair]!) * weight;
        this.#seen[pair] = seen;
      }
      this.#open[pair] = 0;
      this.#faded[pair] = 0;
    }
    for (let there = 0; there < layers; there++) {
      this.#open[layer * layers + there]!++;
      this.#faded[layer * layers + there]!++;
    }
  }

  /** How near the next visit of `there` is, seen from a visit of `here`: 1 is now, 0 is never. */
  nearness(here: number, there: number): number {
    return this.#nearness[here * this.layers + there]!;
  }
}
