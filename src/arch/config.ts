/** Reading config.json: schemas, and options that are refused by name. */
import { z } from "zod";
import { MoqeError } from "../base/errors.ts";

/** A size that is at least 1 and no larger than any model has. */
export const count = z.number().int().positive().max(1 << 20);

/** Parses config.json by a schema. Throws MoqeError `corrupt` with every fault. */
export function parseConfig<T>(schema: z.ZodType<T>, json: unknown, modelType: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new MoqeError("corrupt", {
    action: `read config.json of a ${modelType} model`,
    rule: parsed.error.issues.map((i) => `${i.path.join(".")} ${i.message}`).join("; "),
  });
}

/** Throws MoqeError `unsupported` with every option whose value is not the one that is run, and `more` faults. */
export function refuseOptions(
  config: { model_type: string; [option: string]: unknown },
  only: Readonly<Record<string, unknown>>,
  more: readonly string[] = [],
): void {
  const faults = Object.entries(only).filter(([option, wanted]) => config[option] !== wanted).map((
    [option, wanted],
  ) => `${option} is ${JSON.stringify(config[option])}, only ${JSON.stringify(wanted)} is run`);
  if (faults.length + more.length === 0) return;
  throw new MoqeError("unsupported", {
    action: `run this ${config.model_type} model`,
    rule: [...faults, ...more].join("; "),
  });
}
