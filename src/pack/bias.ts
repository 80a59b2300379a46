/** An expert's biases, f32 in its block as in the checkpoint. */
import { MoqeError } from "../base/errors.ts";
import type { RowChunk } from "./row_reader.ts";

/** Copies a bias. Throws MoqeError `corrupt` for one that is no number. */
export function copyBias({ data, job }: RowChunk, bias: Float32Array): void {
  const broken = data.findIndex((b) => !Number.isFinite(b));
  if (broken >= 0) {
    throw new MoqeError("corrupt", {
      action: `pack ${job.name}`,
      rule: "every bias must be a finite number",
      observed: String(data[broken]),
      remedy: "the checkpoint is broken there: save it again",
    });
  }
  bias.set(data);
}
