/** Shapes of decoders that steps are measured with. */
import { F16, type MatrixFormat } from "../../src/base/layout.ts";

/** A decoder: every `sparseEvery`-th layer has experts. */
export interface Geometry {
  readonly name: string;
  readonly dModel: number;
  readonly dFf: number;
  readonly heads: number;
  readonly layers: number;
  readonly sparseEvery: number;
  /** Experts a sparse layer that are resident, all of them routed to. */
  readonly experts: number;
  readonly vocab: number;
}

export const NLLB_54B: Geometry = {
  name: "NLLB-MoE-54B",
  dModel: 2048,
  dFf: 8192,
  heads: 16,
  layers: 24,
  sparseEvery: 4,
  experts: 16,
  vocab: 256206,
};

export const SMALL: Geometry = {
  name: "small",
  dModel: 256,
  dFf: 1024,
  heads: 4,
  layers: 4,
  sparseEvery: 2,
  experts: 8,
  vocab: 12000,
};

/** Widths of the parts. */
export interface Widths {
  readonly name: string;
  readonly experts: MatrixFormat;
  readonly trunk: MatrixFormat;
}

const Q4: MatrixFormat = { bits: 4, group: 64, zero: 8 };
const Q2: MatrixFormat = { bits: 2, group: 64, zero: 1.5 };

/** As moqe packs a large model, and as nobody could hold it. */
export const WIDTHS: readonly Widths[] = [
  { name: "2-bit experts, 4-bit trunk", experts: Q2, trunk: Q4 },
  { name: "f16", experts: F16, trunk: F16 },
];
