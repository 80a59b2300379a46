/**
 * What the order of experts in objects saves: requests and bytes a sentence by the fetcher's own queue, with the order
 * learned from every other sentence of a trace and asked for by the rest. Cold: nothing is cached when a sentence
 * begins; warm: a quarter of the experts are resident. `deno run -A tests/manual/expert_order.ts`
 */
import { table } from "../../src/cli/tables.ts";
import { orderExperts } from "../../src/experts/order.ts";
import { horizon } from "../../src/experts/policy/horizon.ts";
import { NLLB_54B_LAYERS, synthesize } from "../../tools/replay/synthesize.ts";
import { firstKeys, readTrace, type Trace } from "../../src/experts/trace.ts";
import { FetchQueue, type Waiting } from "../../src/store/queue.ts";

const CONNECTIONS = 6;

interface Shape {
  readonly blockBytes: number;
  readonly objectBytes: number;
}

/** The sentences that have this remainder by two. */
function half(trace: Trace, remainder: number): Trace {
  let sentence = -1;
  const visits = trace.visits.filter((v) => {
    if (v.sentence !== undefined) sentence++;
    return sentence % 2 === remainder;
  });
  return { ...trace, visits };
}

/** Requests and bytes of blocks that are asked for at once. */
function read(missing: readonly number[], place: readonly number[], shape: Shape) {
  const { blockBytes: length, objectBytes } = shape;
  const perObject = Math.max(1, Math.floor(objectBytes / length));
  const queue = new FetchQueue<Waiting>();
  for (const e of missing) {
    const at = place[e]!, object = Math.floor(at / perObject);
    const ref = { object, offset: (at % perObject) * length, length, sha256: String(e) };
    queue.add({ ref, ahead: false });
  }
  let requests = 0, bytes = 0;
  for (; queue.length > 0; requests++) {
    // One connection after the other is taken; then each that is free again is the only one.
    const run = queue.takeRun(Math.max(1, CONNECTIONS - requests), 1e12);
    bytes += run.at(-1)!.ref.offset + length - run[0]!.ref.offset;
  }
  return { requests, bytes };
}

/** Requests and megabytes a sentence. */
function measure(trace: Trace, orders: readonly number[][], shape: Shape, warm: boolean) {
  const places = orders.map((o) => {
    const place: number[] = [];
    o.forEach((e, i) => place[e] = i);
    return place;
  });
  const first = firstKeys(trace.layers), slots = Math.round(first.at(-1)! / 4);
  const policy = horizon(trace.layers);
  const resident = new Set<number>();
  let requests = 0, bytes = 0, sentences = 0;
  for (const { layer, experts, sentence } of trace.visits) {
    if (sentence !== undefined) {
      sentences++;
      if (warm) policy.languages([sentence]);
      else resident.clear();
    }
    const missing = experts.filter((e) => !resident.has(first[layer]! + e));
    const done = read(missing, places[layer]!, shape);
    requests += done.requests;
    bytes += done.bytes;
    if (warm) policy.visit(layer, experts.map((e) => first[layer]! + e));
    for (const e of missing) {
      if (warm && resident.size >= slots) {
        const victim = policy.victim(() => true)!;
        resident.delete(victim);
        policy.evict(victim);
      }
      resident.add(first[layer]! + e);
      if (warm) policy.load(first[layer]! + e);
    }
  }
  return { requests: requests / sentences, megabytes: bytes / sentences / 1e6 };
}

const SMALL = { blockBytes: 152_576, objectBytes: 32 * 2 ** 20 };
const LARGE = { blockBytes: 9_461_760, objectBytes: 32 * 2 ** 20 };
const recorded = (name: string) =>
  readTrace(new URL(`../bench/traces/${name}.gz`, import.meta.url).pathname);
const madeUp = (beams: number) =>
  synthesize({
    layers: NLLB_54B_LAYERS,
    sentences: 240,
    targets: ["deu_Latn", "fra_Latn", "spa_Latn"],
    source: "eng_Latn",
    inOrder: false,
    seed: 7,
    beams,
  });
const cases: [string, Trace, Shape][] = [
  ["shipped, greedy", await recorded("doc1"), SMALL],
  ["shipped, 4 beams", await recorded("doc4"), SMALL],
  ["shipped, 4 beams, 8 at once", await recorded("shuf4b8"), SMALL],
  ["128 experts, greedy", madeUp(1), LARGE],
  ["128 experts, 4 beams", madeUp(4), LARGE],
];
const rows = cases.flatMap(([name, trace, shape]) => {
  const orders = orderExperts(half(trace, 0)), asked = half(trace, 1);
  const plain = trace.layers.map((l) => Array.from({ length: l.count }, (_, e) => e));
  return [false, true].map((warm) => {
    const before = measure(asked, plain, shape, warm), after = measure(asked, orders, shape, warm);
    return [
      `${name}, ${warm ? "warm" : "cold"}`,
      before.requests.toFixed(1),
      after.requests.toFixed(1),
      `${(100 * (after.requests / before.requests - 1)).toFixed(0)} %`,
      before.megabytes.toFixed(1),
      after.megabytes.toFixed(1),
    ];
  });
});
console.log(table(["trace", "requests", "ordered", "change", "MB", "ordered"], rows));
