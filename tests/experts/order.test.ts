/** Orders of experts: as good as the best of all orders, and what they save is what the fetcher asks for less. */
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import {
  coldMisses,
  heaviestPath,
  orderExperts,
  savedBy,
  together,
} from "../../src/experts/order.ts";
import { NLLB_54B_LAYERS, synthesize } from "../../tools/replay/synthesize.ts";
import { readTrace, type Trace } from "../../src/experts/trace.ts";
import { FetchQueue, type Waiting } from "../../src/store/queue.ts";

function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => (state = (state * 48271) % 2147483647) % below;
}

/** Every order of `count` things. */
function* permutations(count: number, head: number[] = []): Generator<number[]> {
  if (head.length === count) yield head;
  for (let e = 0; e < count; e++) {
    if (!head.includes(e)) yield* permutations(count, [...head, e]);
  }
}

function randomSets(random: (below: number) => number, count: number): number[][] {
  return Array.from({ length: 20 }, () => {
    const set = new Set(Array.from({ length: 1 + random(count) }, () => random(count)));
    return [...set];
  });
}

/** Requests that reads of these sets take when experts lie in this order, by the fetcher's own queue. */
function requests(sets: readonly number[][], order: readonly number[], bytes = 50_000): number {
  const offset: number[] = [];
  order.forEach((e, i) => offset[e] = i * bytes);
  let count = 0;
  for (const set of sets) {
    const queue = new FetchQueue<Waiting>();
    for (const e of set) {
      const ref = { object: 0, offset: offset[e]!, length: bytes, sha256: String(e) };
      queue.add({ ref, ahead: false });
    }
    for (; queue.length > 0; count++) queue.takeRun(6, 1e9);
  }
  return count;
}

/** The sentences of a trace that have this remainder by two. */
function half(trace: Trace, remainder: number): Trace {
  let sentence = -1;
  const visits = trace.visits.filter((v) => {
    if (v.sentence !== undefined) sentence++;
    return sentence % 2 === remainder;
  });
  return { ...trace, visits };
}

Deno.test("of small layers the order is the best of all, or within a twentieth of it", () => {
  let best = 0, found = 0;
  for (let seed = 1; seed <= 30; seed++) {
    const random = numbers(seed), count = 2 + random(6);
    const pairs = together(randomSets(random, count), count);
    const most = Math.max(...[...permutations(count)].map((o) => savedBy(o, pairs)));
    const order = heaviestPath(pairs, count);
    assertEquals([...order].sort(), Array.from({ length: count }, (_, e) => e));
    assertGreaterOrEqual(savedBy(order, pairs), 0.95 * most, `seed ${seed}: ${order}`);
    if (savedBy(order, pairs) === most) best++;
    found++;
  }
  assertGreaterOrEqual(best, 0.8 * found);
});

Deno.test("what an order saves is the requests that the fetcher's queue does not make", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = numbers(seed), count = 3 + random(10);
    const sets = randomSets(random, count);
    const blocks = sets.reduce((sum, s) => sum + s.length, 0);
    const order = heaviestPath(together(sets, count), count);
    assertEquals(requests(sets, order), blocks - savedBy(order, together(sets, count)));
  }
});

Deno.test("experts that are never together, one expert, and none have an order, too", () => {
  assertEquals(heaviestPath(new Float64Array(9), 3).sort(), [0, 1, 2]);
  assertEquals(heaviestPath(new Float64Array(1), 1), [0]);
  assertEquals(heaviestPath(new Float64Array(0), 0), []);
});

Deno.test("a sentence asks once for what it needs: the sets are what it has not yet", () => {
  const sentence = { source: "eng_Latn", target: "deu_Latn" };
  const trace: Trace = {
    model: "",
    about: "",
    layers: [{ stack: "decoder", count: 5 }],
    visits: [
      { layer: 0, experts: [0, 3], sentence },
      { layer: 0, experts: [0, 1, 4] },
      { layer: 0, experts: [0, 2] },
      { layer: 0, experts: [1, 2, 3], sentence },
    ],
  };
  assertEquals(coldMisses(trace), [[[0, 3], [1, 4], [1, 2, 3]]]);
});

for (const name of ["doc1", "doc4", "shuf1"]) {
  Deno.test(`${name}: sentences that the order was not made from take a sixth fewer requests`, async () => {
    const trace = await readTrace(new URL(`../bench/traces/${name}.gz`, import.meta.url).pathname);
    const orders = orderExperts(half(trace, 0)), sets = coldMisses(half(trace, 1));
    assertEquals(orders, orderExperts(half(trace, 0)), "the same order each time");
    const total = (of: (l: number) => readonly number[]) =>
      sets.reduce((sum, s, l) => sum + requests(s, of(l), 152_576), 0);
    const before = total((l) => Array.from({ length: trace.layers[l]!.count }, (_, e) => e));
    const after = total((l) => orders[l]!);
    assert(after < before * 5 / 6, `${after} of ${before}`);
  });
}

Deno.test("128 experts a layer are ordered, and it pays", () => {
  const trace = synthesize({
    layers: NLLB_54B_LAYERS.slice(0, 2),
    sentences: 200,
    targets: ["deu_Latn"],
    source: "eng_Latn",
    beams: 1,
    inOrder: true,
    seed: 5,
  });
  const orders = orderExperts(half(trace, 0)), sets = coldMisses(half(trace, 1));
  const plain = Array.from({ length: 128 }, (_, e) => e);
  sets.forEach((s, l) => {
    const before = requests(s, plain), after = requests(s, orders[l]!);
    assert(after < 0.8 * before, `layer ${l}: ${after} of ${before}`);
  });
});
