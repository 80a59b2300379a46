/** The load test of tests/manual/load.ts, for seconds: what must hold at any speed. */
import { assert, assertEquals } from "@std/assert";
import { runLoad } from "../support/load.ts";
import { Served } from "./served.ts";

Deno.test("64 clients at once: no answer but 200, 429 and 503, and nothing is left running", async () => {
  const served = await Served.start(["--beams", "1", "--max-requests", "48", "--max-queue", "64"]);
  const { statuses, rss } = await runLoad(served, { clients: 64, seconds: 4 });
  const allowed = new Set(["200", "429", "503"]);
  assertEquals(Object.keys(statuses).filter((s) => !allowed.has(s)), []);
  assert((statuses["200"] ?? 0) > 0);
  // Both budgets of the default settings.
  assert(Math.max(...rss) < (256 + 512) * 2 ** 20);
  assertEquals(await served.metric('moqe_queue_sentences{state="running"}'), 0);
  assertEquals(await served.metric("moqe_http_requests_in_flight"), 0);
  assertEquals(await served.end(), 0);
});
