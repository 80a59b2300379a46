import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { modelAddress } from "../../src/cli/model.ts";
import { moqe } from "../cli/moqe.ts";
import { withOtherModel } from "../support/other_model.ts";
import { after, Served } from "./served.ts";

const LONG = Array.from(
  { length: 60 },
  (_, i) =>
    `Open the file number ${i} in the window and save it to another folder of this computer.`,
)
  .join(" ");
const pair = { source: "en", target: "de" };

Deno.test("the service translates over a socket, and every metric moves", async () => {
  const served = await Served.start();
  const answer = await served.translate({ q: "Open the file.", ...pair, beams: 1 });
  assertEquals(answer.status, 200);
  const { translatedText } = await answer.json();
  assert(typeof translatedText === "string" && translatedText.length > 0);
  const batch = await served.translate({ q: ["Open the file.", ""], ...pair, beams: 1 });
  assertEquals(await batch.json(), { translatedText: [translatedText, ""] });
  const others = await served.translate({ q: "Open the file.", ...pair, alternatives: 2 });
  assertEquals((await others.json()).alternatives.length, 2);
  const codes = await (await fetch(`${served.url}/languages`)).json();
  assertEquals(codes.map((c: { code: string }) => c.code), ["de", "en", "es", "fr"]);
  assert(await served.metric(`moqe_tokens_total{direction="out"}`) > 0);
  assert(await served.metric(`moqe_expert_lookups_total{result="miss"}`) > 0);
  assert(await served.metric(`moqe_fetch_bytes_total`) > 0);
  assert(await served.metric(`moqe_ledger_bytes{budget="gpu",line="trunk"}`) > 0);
  const budget = await served.metric(`moqe_ledger_budget_bytes{budget="gpu"}`);
  assert(await served.metric(`moqe_ledger_used_bytes{budget="gpu"}`) <= budget);
  assertEquals(await served.end(), 0);
  assertStringIncludes(served.output.out, "everything accepted was answered");
  assertEquals(served.output.err.includes("Open the file"), false, "logs never hold the text");
});

Deno.test("a client that hangs up frees the engine, a finished one is no hang-up", async () => {
  const served = await Served.start();
  await (await served.translate({ q: "Open the file.", ...pair, beams: 1 })).body!.cancel();
  const client = new AbortController();
  const gone = served.translate({ q: LONG, ...pair, beams: 8 }, { signal: client.signal });
  await served.busy();
  client.abort();
  await gone.catch(() => {});
  const cancelled = `moqe_http_requests_total{route="/translate",status="499"}`;
  for (let i = 0; i < 100 && await served.metric(cancelled) !== 1; i++) await after(50);
  assertEquals(await served.metric(cancelled), 1);
  assertEquals(await served.metric(`moqe_http_requests_total{route="/translate",status="200"}`), 1);
  assertEquals(await served.metric("moqe_http_requests_in_flight"), 0);
  for (
    let i = 0;
    i < 100 && await served.metric(`moqe_queue_sentences{state="running"}`) > 0;
    i++
  ) {
    await after(50);
  }
  assertEquals(await served.metric(`moqe_queue_sentences{state="waiting"}`), 0);
  assertEquals(await served.metric(`moqe_queue_sentences{state="running"}`), 0);
  assertEquals(await served.end(), 0);
});

Deno.test("SIGTERM lets an accepted request finish; nothing new is accepted", async () => {
  // A busy machine may need minutes; what is tested is that the request is waited for.
  const served = await Served.start(["--drain-timeout", "5m", "--threads", "1"]);
  const accepted = served.translate({ q: LONG, ...pair, beams: 4 });
  await served.busy();
  const ended = served.end();
  await served.wrote("draining");
  const late = await served.translate({ q: "Open", ...pair }).then((r) => r.status, () => 0);
  assert(late === 0 || late === 503);
  assertEquals((await accepted).status, 200);
  assertEquals((await (await accepted).json()).translatedText.length > 100, true);
  assertEquals(await ended, 0);
});

Deno.test("a second signal ends at once", async () => {
  const served = await Served.start();
  const cut = served.translate({ q: LONG, ...pair, beams: 8 }).then((r) => r.text(), () => "");
  await served.busy();
  served.child.kill("SIGINT");
  await served.wrote("draining");
  await after(600);
  assertEquals(await served.end("SIGINT"), 130);
  await cut;
});

Deno.test("a Ctrl-C that a runner sends on comes twice, and is one", async () => {
  const served = await Served.start(["--drain-timeout", "5m"]);
  const accepted = served.translate({ q: LONG, ...pair, beams: 1 });
  await served.busy();
  served.child.kill("SIGINT");
  await after(50);
  assertEquals(await served.end("SIGINT"), 0);
  assertEquals((await accepted).status, 200);
});

Deno.test("the queue is bounded: too many sentences are refused with 503 and Retry-After", async () => {
  const served = await Served.start(["--max-queue", "4"]);
  const answer = await served.translate({ q: LONG, ...pair, beams: 1 });
  const { error } = await answer.json();
  assert([413, 503].includes(answer.status), error);
  assertEquals(answer.headers.has("Retry-After"), answer.status === 503);
  const small = await served.translate({ q: "Open the file.", ...pair, beams: 1 });
  assertEquals(small.status, 200);
  await small.body!.cancel();
  assertEquals(await served.end(), 0);
});

Deno.test("a busy port and a bad model are told in one line, with exit code 1", async () => {
  const served = await Served.start();
  const busy = await moqe(["serve", "--port", new URL(served.url).port]);
  assertEquals(busy.code, 1);
  assertStringIncludes(busy.err, "another program listens there already");
  assertEquals(await served.end(), 0);
  const bad = await moqe(["serve", "--port", "0", "--model", "/no/such/model"]);
  assertEquals([bad.code, bad.err.trim().split("\n").length], [1, 1]);
});

Deno.test("several models are one service: each pair has its model, and flags of one model are refused", async () => {
  await withOtherModel(["deu_Latn-eng_Latn"], async (other) => {
    const models = ["--model", modelAddress(undefined), "--model", other];
    for (const flag of [["--mirror", other], ["--manifest-sha256", "00"]]) {
      const { code, err } = await moqe(["serve", "--port", "0", ...models, ...flag]);
      assertEquals(code, 2);
      assertStringIncludes(err, `serve 2 models with ${flag[0]}: it is about one model`);
    }
    const served = await Served.start(models);
    assertStringIncludes(served.output.out, "en-de en-fr en-es de-en, licence");
    assertStringIncludes(served.output.out, "host-memory 640 MiB");
    const languages = await (await fetch(`${served.url}/languages`)).json();
    const targets = (code: string) =>
      languages.find((l: { code: string }) => l.code === code).targets;
    assertEquals([targets("en"), targets("de")], [["de", "es", "fr"], ["en"]]);
    for (const [source, target] of [["en", "de"], ["de", "en"], ["auto", "en"]]) {
      const q = source === "en" ? "Open the file." : "Die Datei wurde nicht gefunden.";
      const answer = await served.translate({ q, source, target, beams: 1 });
      assertEquals(answer.status, 200, await answer.clone().text());
      assert((await answer.json()).translatedText.length > 0);
    }
    const refused = await served.translate({ q: "Die Datei", source: "de", target: "fr" });
    assertEquals(refused.status, 400);
    await refused.body?.cancel();
    const ready = await (await fetch(`${served.url}/ready`)).json();
    assertStringIncludes(ready.model, " + other");
    assertEquals(await served.end(), 0);
  });
});
