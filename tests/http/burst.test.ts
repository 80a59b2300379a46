/** 200 requests at once on a cold cache, over a store that misbehaves now and then. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { MANIFEST_NAME } from "../../src/store/manifest.ts";
import { spawnMoqe } from "../cli/moqe.ts";
import { type Fault, hostileStore } from "../support/hostile_store.ts";
import { Served } from "./served.ts";

const SHIPPED = new URL("../../models/tiny-en-de-fr-es/", import.meta.url).pathname;
const GPU_MIB = 64, HOST_MIB = 448;
const TEXTS = ["Open the file.", "Save changes?", "The printer is not ready.", "Try again later."];

function modelFiles(): Record<string, Uint8Array<ArrayBuffer>> {
  const names = [...Deno.readDirSync(SHIPPED)].map((e) => e.name)
    .filter((n) => n === MANIFEST_NAME || /^[0-9a-f]{64}\./.test(n));
  return Object.fromEntries(names.map((n) => [n, Deno.readFileSync(SHIPPED + n)]));
}

Deno.test("200 requests on a cold cache: one flight a block, within the budgets, right or a clean 503", async () => {
  const rude: Fault[] = [
    { kind: "reset" },
    { kind: "status", status: 503, retryAfter: "0.01" },
    { kind: "truncate" },
    { kind: "flip" },
  ];
  let loaded = false;
  const server = hostileStore(
    modelFiles(),
    (n) => loaded && n % 9 === 0 ? rude[(n / 9) % rude.length]! : { kind: "none" },
  );
  const budgets = ["--gpu-memory", `${GPU_MIB}MiB`, "--host-memory", `${HOST_MIB}MiB`];
  const limits = [
    "--max-requests",
    "150",
    "--max-queue",
    "300",
    "--beams",
    "1",
    "--detection",
    "off",
  ];
  const served = await Served.of(
    spawnMoqe(["serve", "--port", "0", "--model", server.url, ...budgets, ...limits]),
  );
  loaded = true;
  const alone = new Map<string, string>();
  const ask = (i: number) => {
    const target = ["de", "fr", "es"][i % 3]!;
    return { q: TEXTS[i % TEXTS.length]!, source: "en", target, max_tokens: 8 };
  };
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const response = await served.translate(ask(i));
      return { i, status: response.status, body: await response.json(), headers: response.headers };
    }),
  );
  const status = await Deno.readTextFile(`/proc/${served.child.pid}/status`);
  const peakMiB = Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) / 1024;
  const right = answers.filter((a) => a.status === 200);
  for (const { i, body } of right) {
    const { q, target } = ask(i);
    const key = `${target} ${q}`;
    if (!alone.has(key)) {
      const response = await served.translate(ask(i));
      alone.set(key, (await response.json()).translatedText);
    }
    assertEquals(body.translatedText, alone.get(key), "as when it is asked alone");
  }
  for (const { status, headers, body } of answers.filter((a) => a.status !== 200)) {
    assertEquals(status, 503, JSON.stringify(body));
    assertGreater(Number(headers.get("retry-after")), 0);
  }
  assertGreater(right.length, 100);
  const hedged = await served.metric('moqe_fetch_events_total{event="hedged"}');
  // A second request for a slow one is the only reason to ask for the same bytes twice at once.
  assert(server.overlaps <= hedged, `${server.overlaps} overlaps, ${hedged} hedges`);
  assertGreater(await served.metric("moqe_fetch_refused_total"), 0);
  assert(peakMiB <= GPU_MIB + HOST_MIB, `peak ${peakMiB.toFixed(0)} MiB`);
  assertEquals(await served.metric('moqe_ledger_bytes{budget="host",line="fetching"}'), 0);
  assertEquals(await served.end(), 0);
  await server.close();
});
