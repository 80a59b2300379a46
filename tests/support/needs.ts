/**
 * Tests that need a part of the machine say so: where it is missing they are ignored, and noted, so that the run names
 * them at its end.
 */
import { leftOutLine, type PartName, PARTS } from "./parts.ts";

/** Variables by which tests/support/run.ts tells what is there, and in which file it wants to read what was left out. */
export const THERE = "TESTS_PARTS_THERE", LEFT_OUT = "TESTS_LEFT_OUT";

const told = Deno.env.get(THERE)?.split(",");
const found = new Map<PartName, boolean>();

/** Whether a part is there: as the run says, else looked for once. */
export function isThere(name: PartName): boolean {
  if (told !== undefined) return told.includes(name);
  if (!found.has(name)) {
    found.set(name, PARTS[name].isThere());
    if (!found.get(name)) console.log(leftOutLine(name));
  }
  return found.get(name)!;
}

/** Options of one test that needs some parts; call it once a test, since it counts. */
export function needs(...names: PartName[]): { ignore: boolean } {
  const missing = names.filter((name) => !isThere(name)), file = Deno.env.get(LEFT_OUT);
  if (file !== undefined) {
    for (const name of missing) Deno.writeTextFileSync(file, `${name}\n`, { append: true });
  }
  return { ignore: missing.length > 0 };
}

/** Deno.test for tests that need some parts. */
export function testNeeding(
  ...names: PartName[]
): (name: string, fn: Deno.TestDefinition["fn"]) => void {
  return (name, fn) => Deno.test({ name, ...needs(...names), fn });
}
