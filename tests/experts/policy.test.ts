import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import type { Policy, PolicyLayer } from "../../src/experts/contract.ts";
import { horizon } from "../../src/experts/policy/horizon.ts";
import { lfru } from "../../tools/replay/lfru.ts";
import { lfu } from "../../tools/replay/lfu.ts";
import { lru } from "../../tools/replay/lru.ts";
import { replay, replayBest } from "../../tools/replay/replay.ts";
import { NLLB_54B_LAYERS, synthesize } from "../../tools/replay/synthesize.ts";
import {
  firstKeys,
  formatTrace,
  parseTrace,
  readTrace,
  type Trace,
} from "../../src/experts/trace.ts";

const LAYERS: PolicyLayer[] = [{ stack: "encoder", count: 4 }, { stack: "decoder", count: 4 }];
const RECORDED = ["doc1", "shuf4", "shuf4b8"];
const recorded = (name: string) =>
  readTrace(new URL(`../bench/traces/${name}.gz`, import.meta.url).pathname);

function trace(visits: Trace["visits"], layers = LAYERS): Trace {
  return { model: "test", about: "", layers, visits };
}

function randomTrace(seed: number, length: number, count: number): Trace {
  let state = seed;
  const random = (n: number) => (state = (state * 48271) % 2147483647) % n;
  const visits = Array.from({ length }, (_, i) => {
    const experts = Array.from({ length: 1 + random(3) }, () => random(count));
    return { layer: i % 2, experts: [...new Set(experts)] };
  });
  return trace(visits, LAYERS.map((l) => ({ ...l, count })));
}

/** The fewest misses of any choice of victims, by trying them all. */
function fewestMisses(t: Trace, slots: number): number {
  const first = firstKeys(t.layers);
  let states = new Map<string, number>([["", 0]]);
  for (const { layer, experts } of t.visits) {
    const keys = experts.map((e) => first[layer]! + e);
    const after = new Map<string, number>();
    const put = (held: number[], missing: number[], misses: number) => {
      if (missing.length === 0) {
        const id = [...held].sort((a, b) => a - b).join(",");
        after.set(id, Math.min(after.get(id) ?? Infinity, misses));
        return;
      }
      for (const key of missing) {
        const rest = missing.filter((m) => m !== key);
        if (held.length < slots) put([...held, key], rest, misses + 1);
        else {for (const gone of held) {
            put([...held.filter((h) => h !== gone), key], rest, misses + 1);
          }}
      }
    };
    for (const [id, misses] of states) {
      const held = id === "" ? [] : id.split(",").map(Number);
      put(held, keys.filter((k) => !held.includes(k)), misses);
    }
    states = after;
  }
  return Math.min(...states.values());
}

const rate = ({ hits, misses }: { hits: number; misses: number }) => hits / (hits + misses);

Deno.test("MIN has as few misses as the best of all choices", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const t = randomTrace(seed, 24, 4);
    for (const slots of [4, 5, 6]) {
      assertEquals(replayBest(t, slots).misses, fewestMisses(t, slots), `seed ${seed}, ${slots}`);
    }
    // With fewer slots than a layer may ask for, what must come in last can cost one.
    for (const slots of [1, 2, 3]) {
      const more = replayBest(t, slots).misses - fewestMisses(t, slots);
      assert(more >= 0 && more <= 1, `seed ${seed}, ${slots}: ${more} more`);
    }
  }
});

Deno.test("no policy has more hits than MIN, and every one counts every request", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const t = randomTrace(seed, 400, 12);
    const requests = t.visits.reduce((n, v) => n + v.experts.length, 0);
    for (const slots of [1, 3, 9, 24]) {
      const best = replayBest(t, slots);
      for (const policy of [lru(), lfu(), lfru(), horizon(t.layers)]) {
        const { hits, misses } = replay(t, policy, slots);
        assertEquals(hits + misses, requests);
        assert(hits <= best.hits, `${policy.name} ${hits} of ${best.hits}`);
      }
    }
  }
});

Deno.test("a victim is resident and allowed, or there is none", () => {
  for (const policy of [lru(), lfu(), lfru(), horizon(LAYERS)] as Policy[]) {
    assertEquals(policy.victim(() => true), undefined);
    policy.visit?.(0, [0, 1]);
    for (const key of [0, 1]) policy.load(key);
    assertEquals(policy.victim((key) => key === 1), 1, policy.name);
    assertEquals(policy.victim(() => false), undefined);
    policy.evict(1);
    assertEquals(policy.victim(() => true), 0, policy.name);
  }
});

Deno.test("a layer just passed is given up before the one that runs next", () => {
  const layers: PolicyLayer[] = [{ stack: "decoder", count: 2 }, { stack: "decoder", count: 2 }];
  const policy = horizon(layers);
  for (const key of [0, 1, 2, 3]) policy.load(key);
  for (let step = 0; step < 20; step++) {
    policy.visit(0, [0, 1]);
    policy.visit(1, [2, 3]);
  }
  assert([2, 3].includes(policy.victim(() => true)!), "layer 1 just ran, layer 0 comes next");
  policy.visit(0, [0, 1]);
  assert([0, 1].includes(policy.victim(() => true)!));
});

Deno.test("what a language uses is kept for it and given up for another", () => {
  const policy = horizon([{ stack: "decoder", count: 4 }]);
  for (const key of [0, 1, 2, 3]) policy.load(key);
  const run = (target: string, key: number) => {
    policy.languages([{ source: "eng_Latn", target }]);
    for (let step = 0; step < 40; step++) policy.visit(0, [key]);
  };
  run("deu_Latn", 0);
  run("fra_Latn", 1);
  policy.languages([{ source: "eng_Latn", target: "deu_Latn" }]);
  const among = (keys: number[]) => policy.victim((key) => keys.includes(key));
  assertEquals(among([0, 1]), 1, "German runs again");
  policy.languages([{ source: "eng_Latn", target: "fra_Latn" }]);
  assertEquals(among([0, 1]), 0, "French runs");
  assert([2, 3].includes(among([0, 1, 2, 3])!), "nobody ever used these");
});

for (const name of RECORDED) {
  Deno.test(`recorded ${name}: above LRU and LFU at every size, near MIN`, async () => {
    const t = await recorded(name);
    const experts = firstKeys(t.layers).at(-1)!;
    for (const share of [0.06, 0.12, 0.25, 0.5]) {
      const slots = Math.round(experts * share);
      const [ours, least, most, best] = [
        replay(t, horizon(t.layers), slots),
        replay(t, lru(), slots),
        replay(t, lfu(), slots),
        replayBest(t, slots),
      ].map(rate) as [number, number, number, number];
      assert(ours >= Math.max(least, most), `${share}: ${ours}, LRU ${least}, LFU ${most}`);
      if (share !== 0.25) continue;
      const closed = (ours - least) / (best - least);
      assert(closed > 0.65, `${closed} of the gap between LRU ${least} and MIN ${best}`);
    }
  });
}

Deno.test("a model of 128 experts a layer: above LRU and LFU at every size", () => {
  const t = synthesize({
    layers: NLLB_54B_LAYERS,
    sentences: 40,
    targets: ["deu_Latn", "fra_Latn", "spa_Latn"],
    source: "eng_Latn",
    beams: 2,
    inOrder: false,
    seed: 3,
  });
  for (const share of [0.06, 0.12, 0.25]) {
    const slots = Math.round(1536 * share);
    const ours = rate(replay(t, horizon(t.layers), slots));
    const others = [lru(), lfu()].map((p) => rate(replay(t, p, slots)));
    assert(ours >= Math.max(...others), `${share}: ${ours}, ${others}`);
  }
  // With half of them resident most misses are first uses, and all policies are within some of each other.
  const missed = [horizon(t.layers), lru(), lfu()].map((p) => replay(t, p, 768).misses);
  assert(missed[0]! <= 1.01 * Math.min(missed[1]!, missed[2]!), `${missed}`);
});

Deno.test("a trace is read as it was written; a bad line is named", () => {
  const t: Trace = {
    ...randomTrace(5, 30, 40),
    visits: [
      { layer: 0, experts: [0, 39], sentence: { source: "eng_Latn", target: "deu_Latn" } },
      ...randomTrace(5, 30, 40).visits.map((v) => ({ ...v, sentence: undefined })),
    ],
  };
  assertEquals(parseTrace(formatTrace(t), "t"), t);
  const text = formatTrace(t);
  for (const bad of ["9 0", "0 14.14.zz", "> eng_Latn", "0"]) {
    const error = assertThrows(() => parseTrace(`${text}${bad}\n`, "t"), MoqeError);
    assert(error.message.includes("line 34"), `${bad}: ${error.message}`);
  }
  assertThrows(() => parseTrace("{}\n", "t"), MoqeError, "head");
});
