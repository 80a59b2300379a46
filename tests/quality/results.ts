/** What was measured of a system, kept in a file by what made it: a second run does only what is new. */
import { type DevSet, measure, type Measured } from "./measure.ts";

/** All that is known of a system. */
export interface Found {
  readonly measured: Measured;
  /** Relative squared error of the quantized weights; undefined where none are or they are not comparable. */
  readonly weightError?: number | undefined;
}

/** What to measure now. */
export interface Wanted {
  /** Folder of the results, one file a system. */
  readonly work: string;
  readonly beams: readonly number[];
  /** Of systems whose id this does not match only what is known already is told. */
  readonly only: RegExp;
}

/** The model of a system that is due, packed, and how far its weights are from the unquantized ones. */
export interface Ready {
  readonly model: string;
  readonly weightError?: () => Promise<number | undefined>;
}

/**
 * A system's result over `sets`, measured or remembered; undefined where nothing of it was asked for yet.
 *
 * @param key what the result depends on: another key than the file's makes all of it anew
 */
export async function resultOf(
  { work, beams, only }: Wanted,
  { id, key }: { id: string; key: string },
  sets: Readonly<Record<string, DevSet>>,
  ready: () => Promise<Ready>,
): Promise<Found | undefined> {
  const path = `${work}/${id}.json`;
  const file = readJson(path);
  const known: Found | undefined = file?.key === key ? file.result : undefined;
  const [first] = Object.keys(sets);
  const missing = beams.filter((width) =>
    known?.measured.outputs[`${first} ${width}`] === undefined
  );
  if (missing.length === 0 || !only.test(id)) return known;
  const { model, weightError } = await ready();
  const measured = await measure(model, missing, sets);
  console.error(`${id}, beams ${missing}: ${measured.seconds.toFixed(0)} s`);
  Object.assign(measured.outputs, known?.measured.outputs);
  const result = { measured, weightError: await weightError?.() };
  Deno.writeTextFileSync(path, JSON.stringify({ key, result }));
  return result;
}

/** What tells one state of a file from another, as a part of a key. */
export function state(path: string): unknown[] {
  const { size, mtime } = Deno.statSync(path);
  return [path, size, mtime];
}

// deno-lint-ignore no-explicit-any
function readJson(path: string): any {
  try {
    return JSON.parse(Deno.readTextFileSync(path));
  } catch {
    return undefined;
  }
}
