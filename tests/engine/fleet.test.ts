/** Several models of one process: who answers, what they hold together, what they are and count together. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { modelAddress } from "../../src/cli/model.ts";
import { startEngine } from "../../src/engine/client.ts";
import { Fleet, startEngines } from "../../src/engine/fleet.ts";
import type { Engine, EngineOptions, EngineState } from "../../src/engine/protocol.ts";
import { leastHostOfAll, shareBudgets } from "../../src/engine/shares.ts";
import { EngineDouble } from "../http/double.ts";
import { withOtherModel } from "../support/other_model.ts";

const MIB = 2 ** 20;
const OPTIONS: Omit<EngineOptions, "model"> = {
  device: "cpu",
  gpuMemory: 96 * MIB,
  hostMemory: 2048 * MIB,
  serviceBytes: 20 * MIB,
  threads: 1,
  maxBatchTokens: 128,
  maxQueue: 16,
  maxSourceTokens: 64,
};

const ask = async (engine: Engine, source: string, target: string) => {
  const search = { beams: 2, lengthPenalty: 1, maxTokens: 24, alternatives: 0 };
  const texts = ["Open the file.", "Save the document to another folder."];
  const found = await engine.translate({ texts, source, target, ...search });
  return found.map((t) => t.text);
};

Deno.test("of several refusals of a budget the one that asks for most is told, of other failures the first", async () => {
  const refusal = (leastMiB: number | undefined) =>
    new MoqeError(leastMiB === undefined ? "corrupt" : "over_budget", {
      action: "run it",
      rule: "it takes more",
      leastMiB,
    });
  const failing = (after: number, error: MoqeError): Engine => {
    const engine = new EngineDouble();
    const ready = new Promise<never>((_, fail) => setTimeout(() => fail(error), after));
    return Object.defineProperty(engine, "ready", { value: ready });
  };
  const fleetOf = (...errors: MoqeError[]) =>
    new Fleet(errors.map((e, i) => failing(5 + 20 * i, e)));
  const told = async (...least: (number | undefined)[]) => {
    const error = await assertRejects(() => fleetOf(...least.map(refusal)).ready, MoqeError);
    return error.parts.leastMiB;
  };
  assertEquals(await told(44, 51), 51);
  assertEquals(await told(51, 44), 51);
  assertEquals(await told(44, undefined, 45), 45);
  assertEquals(await told(undefined, 51), undefined);
  // The failures that were not told come later.
  await new Promise((resolve) => setTimeout(resolve, 50));
});

Deno.test("each model answers for its pairs as it does alone, within the budgets of both together", async () => {
  const shipped = modelAddress(undefined);
  await withOtherModel(["deu_Latn-eng_Latn", "eng_Latn-deu_Latn"], async (other) => {
    const alone = startEngine({ ...OPTIONS, model: shipped });
    const others = startEngine({ ...OPTIONS, model: other });
    await Promise.all([alone.ready, others.ready]);
    const want = [
      await ask(alone, "eng_Latn", "deu_Latn"),
      await ask(others, "deu_Latn", "eng_Latn"),
    ];
    await Promise.all([alone.close(), others.close()]);
    const fleet = startEngines([shipped, other], OPTIONS);
    try {
      const info = await fleet.ready;
      assertStringIncludes(info.name, " + other");
      assertEquals(
        info.pairs.filter((p) => p.source === "eng_Latn" && p.target === "deu_Latn").length,
        1,
        "a pair of two models is one pair",
      );
      assertEquals(info.pairs.some((p) => p.source === "deu_Latn"), true);
      const found = await Promise.all([
        ask(fleet, "eng_Latn", "deu_Latn"),
        ask(fleet, "deu_Latn", "eng_Latn"),
      ]);
      assertEquals(found, want);
      const { ledger, experts } = await fleet.stats();
      assertEquals(ledger.gpu.budgetBytes, OPTIONS.gpuMemory);
      assertEquals(ledger.host.budgetBytes, OPTIONS.hostMemory);
      assertEquals(ledger.host.lines.service, 20 * MIB, "the service is on one account only");
      const names = new Set(experts.heat.layers.map((l) => l.stack.split(" ")[0]));
      assertEquals(names, new Set([info.name.split(" ")[0], "other"]));
      assert(experts.heat.layers.every((l) => l.uses.some((n) => n > 0)), "both were asked");
      await assertRejects(() => ask(fleet, "fra_Latn", "spa_Latn"), MoqeError);
    } finally {
      await fleet.close();
    }
    assertEquals(fleet.state, "closed");
  });
});

Deno.test("too small a budget of several models is refused with what all of them need", async () => {
  const shipped = modelAddress(undefined);
  await withOtherModel(["deu_Latn-eng_Latn"], async (other) => {
    const refusal = async (budget: Partial<EngineOptions>) => {
      const fleet = startEngines([shipped, other], { ...OPTIONS, ...budget });
      try {
        const { message } = await assertRejects(() => fleet.ready, MoqeError, "2 models share it");
        assertEquals(fleet.state, "failed");
        return Number(/give it --\w+-memory (\d+)MiB or more/.exec(message)![1]) * MIB;
      } finally {
        await fleet.close();
      }
    };
    const gpuMemory = await refusal({ gpuMemory: 4 * MIB });
    const hostMemory = await refusal({ hostMemory: 64 * MIB });
    // What the process itself takes differs from start to start, by up to 10 MiB on a busy machine.
    const budgets = { gpuMemory, hostMemory: hostMemory + 16 * MIB };
    const fleet = startEngines([shipped, other], { ...OPTIONS, ...budgets });
    await fleet.ready;
    assertEquals((await ask(fleet, "deu_Latn", "eng_Latn")).length, 2);
    await fleet.close();
    await refusal({ gpuMemory: gpuMemory - 2 * MIB });
  });
});

Deno.test("shares come to what was asked for, and least budgets grow by models", () => {
  for (const models of [2, 3, 7]) {
    const asked = { gpuMemory: 100_000_003, hostMemory: 1_000_000_007, serviceBytes: 12_345 };
    const shares = shareBudgets(asked, models, 100 * MIB);
    const sum = (of: "gpuMemory" | "hostMemory" | "serviceBytes") =>
      shares.reduce((n, s) => n + s[of]!, 0);
    assertEquals([sum("gpuMemory"), sum("hostMemory")], [asked.gpuMemory, asked.hostMemory]);
    assertEquals(sum("serviceBytes"), asked.serviceBytes);
    const [first, second] = shares as [typeof shares[0], typeof shares[0]];
    // A model that needs all of a share needs all that was asked for, but for what does not divide.
    const { processBytes } = first!.shared!;
    assertEquals(first!.hostMemory - second!.hostMemory - processBytes < models, true);
    for (const { shared, hostMemory } of shares) {
      const least = leastHostOfAll(shared, hostMemory);
      assert(Math.abs(least - asked.hostMemory) < models * models, `${least}`);
    }
  }
  assertEquals(leastHostOfAll(undefined, 7), 7);
  // Less than the process itself: nobody has a negative share.
  const poor = shareBudgets({ gpuMemory: 10, hostMemory: 5 }, 2, 100 * MIB);
  assertEquals(poor.map((s) => s.hostMemory), [5, 0]);
});

Deno.test("a fleet is what its worst engine is, and waits for all", async () => {
  const doubles = [new EngineDouble(), new EngineDouble()], fleet = new Fleet(doubles);
  assertEquals(fleet.state, "ready");
  assertEquals(fleet.loaded, { doneBytes: 60, totalBytes: 240 });
  for (const state of ["loading", "draining", "closed", "failed"] satisfies EngineState[]) {
    doubles[1]!.state = state;
    doubles[1]!.info = state === "loading" ? undefined : doubles[0]!.info;
    assertEquals(fleet.state, state);
  }
  const { info } = doubles[0]!;
  doubles[1]!.info = undefined;
  assertEquals(fleet.info, undefined);
  const batchInvariant = false, limits = { ...info!.limits, maxTargetTokens: 7 };
  doubles[1]!.info = { ...info!, name: "b", licence: { id: "MIT", text: "t" }, batchInvariant };
  assertEquals(fleet.info?.name, "double + b");
  assertEquals(fleet.info?.licence, { id: "CC-BY-4.0 + MIT", text: "t" });
  assertEquals(fleet.info?.batchInvariant, false);
  assertEquals(fleet.info?.pairs, info!.pairs);
  assertEquals(fleet.info === fleet.info, true, "made once");
  doubles[1]!.info = { ...info!, limits };
  assertEquals(fleet.info?.limits.maxTargetTokens, 7, "and again when an engine has another");
  const one = await doubles[0]!.stats(), both = await fleet.stats();
  assertEquals(both.tokens.target, 2 * one.tokens.target);
  assertEquals(both.experts.slots, 2 * one.experts.slots);
  assertEquals(both.experts.slotBytes, one.experts.slotBytes);
  assertEquals(both.fetch.retriesBy.reset, 2 * one.fetch.retriesBy.reset);
  assertEquals(both.experts.heat.languages, { deu_Latn: { hits: 140, misses: 60 } });
  assertEquals(both.tiers.disk?.hits, 2 * one.tiers.disk!.hits);
});

Deno.test("while one model loads once more, its device lost, the others answer", async () => {
  const doubles = [new EngineDouble(), new EngineDouble()], fleet = new Fleet(doubles);
  const pairs = [{ source: "deu_Latn", target: "eng_Latn" }];
  doubles[1]!.info = { ...doubles[1]!.info!, pairs };
  doubles[1]!.state = "loading";
  doubles[1]!.refusal = new MoqeError("unavailable", { action: "translate", rule: "device lost" });
  assertEquals(fleet.state, "ready");
  assertEquals(await ask(fleet, "eng_Latn", "deu_Latn"), [
    "deu Open the file.",
    "deu Save the document to another folder.",
  ]);
  await assertRejects(() => ask(fleet, "deu_Latn", "eng_Latn"), MoqeError, "device lost");
  doubles[0]!.state = "loading";
  assertEquals(fleet.state, "loading", "none is left");
  doubles[1]!.state = "failed";
  assertEquals(fleet.state, "failed");
});
