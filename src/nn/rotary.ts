/** Angles of rotary positions: made on the host for the rows of a pass, as the reference makes them, in f32. */
import type { Backend, DeviceBuffer, Tensor } from "../backend/contract.ts";
import { attentionsOf, type ModelSpec, type RotarySpec } from "./spec.ts";

/** The distinct rotary positions of a model; layers that share one share the object. */
function distinct(spec: ModelSpec): RotarySpec[] {
  const found = attentionsOf(spec).flatMap(({ rotary }) =>
    rotary.kind === "rotary" ? [rotary] : []
  );
  return [...new Set(found)];
}

const turned = (of: RotarySpec) => 2 * of.frequencies.length;

/** Device bytes of the angles of `maxRows` rows. */
export function rotaryBytes(spec: ModelSpec, maxRows: number): number {
  return distinct(spec).reduce((n, of) => n + maxRows * turned(of) * 4, 0);
}

/**
 * f32 [positions, 2 * frequencies]: cosines of position * frequency times the magnitude, then the sines. Rounded to f32
 * at each step, as transformers does it.
 */
export function rotaryAngles(
  { frequencies, magnitude }: RotarySpec,
  positions: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  const half = frequencies.length, out = new Float32Array(positions.length * 2 * half);
  for (let t = 0; t < positions.length; t++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(positions[t]! * Math.fround(frequencies[i]!));
      out[t * 2 * half + i] = Math.fround(Math.cos(angle)) * magnitude;
      out[t * 2 * half + half + i] = Math.fround(Math.sin(angle)) * magnitude;
    }
  }
  return out;
}

/** The angles of one pass at a time. Owns their buffers. */
export class Rotary {
  readonly #of: ReadonlyMap<RotarySpec, DeviceBuffer>;
  #rows = 0;

  constructor(private readonly backend: Backend, spec: ModelSpec, maxRows: number) {
    this.#of = new Map(
      distinct(spec).map((of) => [
        of,
        backend.alloc("rotary angles", maxRows * turned(of) * 4, "activations"),
      ]),
    );
  }

  /** Sets the rows of the pass that begins: the place of each in its sequence. */
  begin(positions: ArrayLike<number>): void {
    this.#rows = positions.length;
    for (const [of, buffer] of this.#of) {
      this.backend.write(buffer, 0, new Uint8Array(rotaryAngles(of, positions).buffer));
    }
  }

  /** [rows, turned] of the pass. */
  of(spec: RotarySpec): Tensor {
    return { buffer: this.#of.get(spec)!, offset: 0, rows: this.#rows, cols: turned(spec) };
  }

  /** Gives them back. */
  free(): void {
    for (const b of this.#of.values()) this.backend.free(b);
  }
}
