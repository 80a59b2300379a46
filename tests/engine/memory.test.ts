/** The budgets as the system sees them: the real service, the least budgets that do, its peak from outside. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { modelAddress, modelAddresses } from "../../src/cli/model.ts";
import { Served } from "../http/served.ts";
import { leastOf } from "../support/least.ts";
import { needs } from "../support/needs.ts";
import { peakBytes } from "../support/peak.ts";

const MIB = 2 ** 20;

type Pair = [source: string, target: string];
const PAIRS: Pair[] = [["en", "de"], ["en", "fr"], ["en", "es"]];
const SHORT = "Open the file.";
const LONG =
  "We would like to know whether the committee has decided about the proposal that was made " +
  "last year, because several other members are waiting for the answer.";

/** Holds one scrape's ledger together: lines add up, nothing ever went over. Returns the bytes of all lines. */
function checkLedger(metrics: string, budget: "gpu" | "host", budgetMiB: number): number {
  const value = (name: string) =>
    Number(
      metrics.split("\n").find((l) => l.startsWith(`${name}{budget="${budget}"} `))?.split(" ")[1],
    );
  const lines = metrics.matchAll(
    new RegExp(`^moqe_ledger_bytes{budget="${budget}",line="\\w+"} (\\d+)$`, "gm"),
  );
  const sum = [...lines].reduce((total, [, bytes]) => total + Number(bytes), 0);
  assert(sum > 0);
  assertEquals(sum, value("moqe_ledger_used_bytes"));
  assertEquals(value("moqe_ledger_budget_bytes"), budgetMiB * MIB);
  assert(value("moqe_ledger_peak_bytes") <= budgetMiB * MIB);
  assert(sum <= value("moqe_ledger_peak_bytes"));
  return sum;
}

/** Requests of mixed length, many at once, with scrapes between; all must be answered. */
async function load(
  served: Served,
  pairs: Pair[],
  onScrape: (metrics: string) => void,
): Promise<void> {
  let busy = true;
  const requests = Array.from({ length: 16 }, async (_, i) => {
    const text = Array(1 + i % 4).fill(i % 2 === 0 ? SHORT : LONG).join(" ");
    const q = i % 5 === 0 ? [text, SHORT, ""] : text;
    const [source, target] = pairs[i % pairs.length]!;
    const answer = await served.translate({
      q,
      source,
      target,
      beams: [1, 4, 5][i % 3],
      maxTokens: 64,
    });
    const body = await answer.text();
    assertEquals(answer.status, 200, body);
  });
  const scrapes = async () => {
    while (busy) {
      onScrape(await (await fetch(`${served.url}/metrics`)).text());
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await Promise.all([Promise.all(requests).finally(() => busy = false), scrapes()]);
}

/** Serves within the least budgets that are named, under load in these pairs; the peak from outside is within both. */
async function staysWithin(flags: string[], pairs: Pair[], tooLittle?: number): Promise<void> {
  const gpu = await leastOf("gpu", flags, tooLittle);
  const host = await leastOf("host", [...flags, "--gpu-memory", `${gpu}MiB`], tooLittle);
  const budgets = ["--gpu-memory", `${gpu}MiB`, "--host-memory", `${host}MiB`];
  const served = await Served.start([...flags, ...budgets]);
  let requestBytes = 0;
  await load(served, pairs, (metrics) => {
    checkLedger(metrics, "gpu", gpu);
    checkLedger(metrics, "host", host);
    const held = /^moqe_ledger_bytes{budget="host",line="requests"} (\d+)$/m.exec(metrics);
    requestBytes = Math.max(requestBytes, Number(held![1]));
  });
  const peak = await peakBytes(served.child.pid);
  assert(
    peak <= (gpu + host) * MIB,
    `peak ${(peak / MIB).toFixed(0)} MiB is over ${gpu} + ${host} MiB`,
  );
  assert(requestBytes > 0, "requests in flight are on the ledger");
  assertEquals(await served.metric(`moqe_ledger_bytes{budget="host",line="requests"}`), 0);
  assertMatch(served.output.out, new RegExp(`host-memory ${host}(\\.\\d+)? MiB`));
  assertEquals(await served.end(), 0);
}

Deno.test({
  name: "too small budgets are refused with the least that does, and its peak stays within",
  ...needs("linux"),
  fn: () => staysWithin(["--model", modelAddress(undefined)], PAIRS),
});

Deno.test({
  name: "so they are for all models that ship, which share them",
  ...needs("linux"),
  fn: () => {
    const back = PAIRS.map(([source, target]): Pair => [target, source]);
    return staysWithin(["--model", modelAddresses([]).join(",")], [...PAIRS, ...back], 8);
  },
});
