/** A scheduler over a small model whose store answers when the test says so; and what all of it gives when resident. */
import { assertEquals } from "@std/assert";
import type { Job, Limits } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import type { Finished } from "../../src/engine/search.ts";
import { FileStore } from "../../src/store/file_store.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { type GateStore, gateStore } from "./gate_store.ts";
import { goldenFolder, prefixOf, readGolden } from "./golden.ts";
import { packFolder, type TestModel, type TestModelOptions, withPacked } from "./model.ts";

const WIDTHS = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;
const NAME = "every_layer";

/** Sentences of the golden again and again, of different lengths. */
export function jobs(count: number, beams: (i: number) => number): Job[] {
  const { sentences } = readGolden(NAME);
  return Array.from({ length: count }, (_, i) => {
    const s = sentences[i % sentences.length]!;
    const source = Int32Array.from(s.source);
    return {
      source,
      ...prefixOf(s),
      beams: beams(i),
      lengthPenalty: 1,
      maxTokens: 9 + i % 5,
    };
  });
}

export const CASES = {
  "1 greedy": jobs(1, () => 1),
  "1 of 4 beams": jobs(1, () => 4),
  "4 greedy": jobs(4, () => 1),
  "4 of 4 beams": jobs(4, () => 4),
  "16 greedy": jobs(16, () => 1),
  "16 of 4 beams": jobs(16, () => 4),
  "16 mixed": jobs(16, (i) => i % 3 === 0 ? 4 : 1),
};
export type Case = keyof typeof CASES;

export interface Gated {
  m: TestModel;
  gate: GateStore;
  scheduler: Scheduler;
}

let packed: Promise<{ folder: string; manifest: Manifest }> | undefined;

/** The model, packed once a file of tests. */
export function packedModel(): Promise<{ folder: string; manifest: Manifest }> {
  return packed ??= Deno.makeTempDir({ prefix: "moqe-test-" }).then(async (folder) => ({
    folder,
    manifest: await packFolder(goldenFolder(NAME), folder, WIDTHS),
  }));
}

globalThis.addEventListener("unload", () => {
  packed?.then(({ folder }) => Deno.removeSync(folder, { recursive: true }));
});

/** The model behind a gate, which is shut once the trunk is loaded; checks that all was given back. */
export async function gated(
  options: TestModelOptions,
  limits: Partial<Limits>,
  use: (g: Gated) => Promise<void>,
): Promise<void> {
  const { folder, manifest } = await packedModel();
  const gate = gateStore(new FileStore(folder));
  await withPacked(folder, manifest, async (m) => {
    gate.open = false;
    const scheduler = new Scheduler(m.model, m.spec, {
      maxRows: m.maxRows,
      maxQueue: 100,
      ...limits,
    });
    await use({ m, gate, scheduler });
    await scheduler.idle();
    assertEquals(scheduler.stats().queue, { waiting: 0, running: 0, parked: 0 });
    assertEquals(m.residency.room, m.residency.stats().slots, "no slot is held");
    // A read that was cancelled holds its bytes until the store has let go of it.
    const held = () => m.ledger.snapshot().host.lines;
    for (let turns = 0; held().fetching > 0 && turns < 1000; turns++) await turn();
    assertEquals([held().fetching, held().verified], [0, 0], "no byte is left on the ledger");
  }, { ...options, store: gate });
}

/** A turn of the event loop. */
export const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** Lets reads through until so many encoder passes have ended: what decoding asks for waits at the gate. */
export async function encoded(
  { gate, scheduler }: Gated,
  passes: number,
): Promise<void> {
  while (scheduler.stats().steps.encode < passes) {
    gate.release(0);
    await turn();
  }
}

const resident = new Map<string, Promise<Record<Case, Finished[][]>>>();

/** What every expert resident from the start gives on a device, by case; run once a file of tests. */
export function residentRun(
  device: NonNullable<TestModelOptions["device"]> = "cpu",
  only: readonly Case[] = Object.keys(CASES) as Case[],
): Promise<Record<Case, Finished[][]>> {
  const key = `${device} ${only}`;
  let known = resident.get(key);
  if (known === undefined) resident.set(key, known = runResident(device, only));
  return known;
}

async function runResident(device: NonNullable<TestModelOptions["device"]>, only: readonly Case[]) {
  const found: [Case, Finished[][]][] = [];
  await gated({ device }, { steps: "waves" }, async ({ gate, scheduler }) => {
    gate.open = true;
    for (const name of only) found.push([name, await scheduler.run(CASES[name])]);
  });
  return Object.fromEntries(found) as Record<Case, Finished[][]>;
}
