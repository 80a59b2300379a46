/** Prefetch and profiles: what is guessed comes early, changes no result, and takes nothing that is in use. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import type { Job } from "../../src/engine/queue.ts";
import { routersHash } from "../../src/engine/learned.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { bringAhead } from "../../src/experts/ahead.ts";
import type { PolicyLayer } from "../../src/experts/contract.ts";
import { horizon, type Predictor } from "../../src/experts/policy/horizon.ts";
import { lru } from "../../tools/replay/lru.ts";
import { outlook } from "../../src/experts/outlook.ts";
import { Prefetcher } from "../../src/experts/prefetch.ts";
import { learnedProfile, mergeProfiles, priorOf, profilesOf } from "../../src/experts/profiles.ts";
import { TraceRecorder } from "../../src/experts/record.ts";
import { parseProfiles } from "../../src/store/profiles.ts";
import { SlotTable } from "../../src/experts/slots.ts";
import { goldenFolder, prefixOf, readGolden } from "../support/golden.ts";
import { packFolder, withPacked } from "../support/model.ts";

const LAYERS: PolicyLayer[] = [{ stack: "encoder", count: 3 }, { stack: "decoder", count: 4 }];
const languages = { source: "eng_Latn", target: "deu_Latn" };

const trace = {
  model: "test",
  about: "",
  layers: LAYERS,
  visits: [
    { layer: 0, experts: [0, 2], sentence: languages },
    { layer: 1, experts: [3] },
    { layer: 1, experts: [0, 3] },
    { layer: 0, experts: [2], sentence: { source: "eng_Latn", target: "fra_Latn" } },
    { layer: 1, experts: [1] },
  ],
};

Deno.test("profiles say how often each language uses an expert, and come back as written", () => {
  const profiles = profilesOf(trace, "r");
  const back = parseProfiles(JSON.stringify(profiles), { layers: LAYERS, routers: "r" }, "t");
  assertEquals(back, profiles);
  const prior = priorOf(back, LAYERS);
  assertEquals([...prior("encoder", "eng_Latn")!], [0.5, 0, 1, 0, 0, 0, 0]);
  assertEquals([...prior("decoder", "deu_Latn")!], [0, 0, 0, 0.5, 0, 0, 1]);
  assertEquals([...prior("decoder", "fra_Latn")!], [0, 0, 0, 0, 1, 0, 0]);
  assertEquals(prior("decoder", "spa_Latn"), undefined);
});

Deno.test("profiles of other weights, other layers or no form at all are refused", () => {
  const text = JSON.stringify(profilesOf(trace, "r"));
  const model = { layers: LAYERS, routers: "r" };
  const refused = (t: string, m: Parameters<typeof parseProfiles>[1], rule: string) =>
    assertThrows(() => parseProfiles(t, m, "t"), MoqeError, rule);
  refused(text, { ...model, routers: "other" }, "other weights");
  refused(text, { layers: [LAYERS[0]!, { stack: "decoder", count: 5 }] }, "other layers");
  refused(text.replace("moqe-profiles", "x"), model, "profiles");
  refused("{", model, "JSON");
});

Deno.test("what service learned counts by how much it has seen", () => {
  const published = profilesOf(trace, "r");
  const chances = Float32Array.from([0, 0, 0, 0.4, 0, 0, 0]);
  const learned = {
    ...published,
    encoder: {},
    decoder: { deu_Latn: learnedProfile(LAYERS, "decoder", { chances, visits: 6 }) },
  };
  const prior = priorOf(mergeProfiles(published, learned), LAYERS);
  const [first] = prior("decoder", "deu_Latn")!.subarray(3);
  assert(Math.abs(first! - (2 * 0.5 + 6 * 0.4) / 8) < 1e-4);
  assertEquals([...prior("encoder", "eng_Latn")!], [0.5, 0, 1, 0, 0, 0, 0]);
});

Deno.test("an outlook counts the requests that the most used experts take, and what a cold start reads", () => {
  const prior = priorOf(profilesOf(trace, "r"), LAYERS);
  const of = (slots: number) =>
    outlook({ layers: LAYERS, prior, source: "eng_Latn", target: "deu_Latn", slots, steps: 10 });
  // A sentence asks for encoder 0 half the time and 2 always, for decoder 0 five times and 3 ten times.
  assertEquals(of(1)!.hitRate.toFixed(4), (10 / 16.5).toFixed(4));
  assertEquals(of(3)!.hitRate.toFixed(4), (16 / 16.5).toFixed(4));
  assertEquals(of(7)!.hitRate, 1);
  assertEquals(of(1)!.coldExperts.toFixed(4), (0.5 + 1 + 1 - 0.5 ** 10 + 1).toFixed(4));
  const unknown = {
    layers: LAYERS,
    prior,
    source: "eng_Latn",
    target: "spa_Latn",
    slots: 1,
    steps: 1,
  };
  assertEquals(outlook(unknown), undefined);
});

Deno.test("a profile is what a policy starts from", () => {
  const policy = horizon(LAYERS, { prior: priorOf(profilesOf(trace, "r"), LAYERS) });
  policy.languages([languages]);
  assert(policy.chance(1, 6) > 0.7 && policy.chance(1, 4) < 0.1);
  policy.languages([{ ...languages, target: "fra_Latn" }]);
  assert(policy.chance(1, 4) > 0.7 && policy.chance(1, 6) < 0.1);
});

Deno.test("a guess does not take what the last steps used, a need may", () => {
  const policy = lru();
  const t = new SlotTable(2, { encoder: policy, decoder: policy });
  const guess = (key: number) => t.place(key, "decoder", { spare: (k) => !t.isRecent(k) });
  t.place(1, "decoder");
  t.place(2, "decoder");
  t.visit("decoder", 0, [1]);
  assertEquals(guess(3)?.evicted, [2], "2 was never used");
  t.visit("decoder", 0, [3]);
  assertEquals(guess(4), undefined, "1 and 3 were");
  for (let step = 0; step < 3; step++) t.visit("decoder", 0, [3]);
  assertEquals(guess(4)?.evicted, [1], "1 is out of use");
  assertEquals(t.place(5, "decoder")?.evicted, [3], "a need takes what it must");
});

Deno.test("a guess that comes to a device which is gone is let go, and nobody is told", async () => {
  let held = 1;
  const came = await bringAhead([1, 2], {
    isResident: (e) => e === 2,
    fetch: () => Promise.resolve({ bytes: new Uint8Array(4), release: () => void held-- }),
    put: () => {
      throw new Error("the device was lost");
    },
  });
  assertEquals([came, held], [0, 0]);
});

Deno.test("prefetched sentences have the same tokens and wait for less", async () => {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    const manifest = await packFolder(goldenFolder("every_layer"), folder, {
      experts: { bits: 2 },
      trunk: { bits: 8 },
      embedding: { bits: 8 },
    });
    const [s] = readGolden("every_layer").sentences;
    const job: Job = {
      source: Int32Array.from(s!.source),
      ...prefixOf(s!),
      languages,
      beams: 2,
      lengthPenalty: 1,
      maxTokens: 20,
    };
    const experts = manifest.expertLayers.reduce((n, l) => n + l.experts.length, 0);
    let recorder!: TraceRecorder;
    let expected: unknown, misses = 0, routers = "";
    await withPacked(folder, manifest, async (m) => {
      recorder.sentence(languages);
      const scheduler = new Scheduler(m.model, m.spec, { maxRows: m.maxRows, maxQueue: 10 });
      expected = await scheduler.run([job]);
      misses = m.residency.stats().misses;
      routers = routersHash(manifest, m.plan);
    }, { policy: (l) => (recorder = new TraceRecorder(l)).wrap(horizon(l)) });
    const profiles = profilesOf({ ...trace, ...recorder }, routers);
    for (const maxSlots of [experts, Math.ceil(experts / 2), 3]) {
      let predictor!: Predictor;
      await withPacked(folder, manifest, async (m) => {
        const prefetcher = new Prefetcher(m.residency, predictor, m.plan.expertLayers);
        m.residency.onRouting = (layer, chosen) => prefetcher.routed(layer, chosen);
        const scheduler = new Scheduler(m.model, m.spec, {
          maxRows: m.maxRows,
          maxQueue: 10,
          onRunning: (l) => m.residency.languages(l),
          onEncoding: () => prefetcher.encoding(),
        });
        const found = await scheduler.run([job]);
        assertEquals(found, expected as typeof found, `${maxSlots} slots`);
        await new Promise((resolve) => setTimeout(resolve, 20));
        const { host } = m.ledger.snapshot();
        assertEquals([host.lines.fetching, host.lines.verified], [0, 0]);
        if (maxSlots < experts) return;
        const { asked, used } = prefetcher.stats();
        assert(m.residency.stats().misses < misses, "less is missed");
        assert(used > 0 && used <= asked);
      }, { maxSlots, policy: (l) => predictor = horizon(l, { prior: priorOf(profiles, l) }) });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
