/** Buckets of distances (T5's relative positions): which of a table's rows a distance between tokens has. */
import type { Backend, DeviceBuffer, DistanceBias } from "../backend/contract.ts";
import { attentionsOf, type DistanceScoresSpec, type ModelSpec } from "./spec.ts";

type Buckets = Pick<DistanceScoresSpec, "buckets" | "maxDistance" | "bidirectional">;

/**
 * i32 [2 * maxDistance + 1]: the bucket of key position - query position + maxDistance. A direction has half of the
 * buckets (all of them where only one counts): the nearer half of those is one distance each, the rest grow by
 * logarithm up to maxDistance. Rounded to f32 at each step, as the reference is.
 */
export function distanceBuckets(of: Buckets): Int32Array<ArrayBuffer> {
  const own = of.bidirectional ? of.buckets >> 1 : of.buckets, exact = own >> 1;
  const span = Math.fround(Math.log(of.maxDistance / exact));
  const bucket = (far: number) => {
    if (far < exact) return far;
    const share = Math.fround(Math.fround(Math.log(Math.fround(far / exact))) / span);
    return Math.min(own - 1, exact + Math.trunc(Math.fround(share * (own - exact))));
  };
  return Int32Array.from({ length: 2 * of.maxDistance + 1 }, (_, i) => {
    const distance = i - of.maxDistance;
    if (!of.bidirectional) return bucket(Math.max(0, -distance));
    return bucket(Math.abs(distance)) + (distance > 0 ? own : 0);
  });
}

const idOf = (s: Buckets) => `${s.buckets} ${s.maxDistance} ${s.bidirectional}`;

/** The distinct bucketings of a model's attention blocks. */
function distinct(spec: ModelSpec): Map<string, Buckets> {
  return new Map(
    attentionsOf(spec).flatMap(({ scores }) =>
      scores.kind === "distance" ? [[idOf(scores), scores]] : []
    ),
  );
}

/** Device bytes of a model's bucket arrays. */
export function distanceBytes(spec: ModelSpec): number {
  let bytes = 0;
  for (const of of distinct(spec).values()) bytes += (2 * of.maxDistance + 1) * 4;
  return bytes;
}

/** The bucket arrays of a model on the device, one for each distinct bucketing. Owns them. */
export class Distances {
  readonly #arrays = new Map<string, DeviceBuffer>();

  constructor(private readonly backend: Backend, spec: ModelSpec) {
    for (const [id, of] of distinct(spec)) {
      const buckets = distanceBuckets(of);
      const buffer = backend.alloc("distance buckets", buckets.byteLength, "trunk");
      backend.write(buffer, 0, new Uint8Array(buckets.buffer));
      this.#arrays.set(id, buffer);
    }
  }

  /** The buckets of a block's scores. */
  of(spec: DistanceScoresSpec): Omit<DistanceBias, "table"> {
    const buffer = this.#arrays.get(idOf(spec));
    if (buffer === undefined) throw new RangeError("cannot find buckets of another model's block");
    return { buckets: { buffer, offset: 0 }, reach: spec.maxDistance };
  }

  /** Gives them back. */
  free(): void {
    for (const b of this.#arrays.values()) this.backend.free(b);
    this.#arrays.clear();
  }
}
