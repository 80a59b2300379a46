/** Quotas of documents: what is under way counts against them, what fails does not. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Access } from "../../src/http/access/access.ts";
import { hashKey, parseKeys } from "../../src/http/access/keys.ts";
import { UsageMeter } from "../../src/http/access/meter.ts";
import { RequestError } from "../../src/http/errors.ts";
import { testApp } from "./double.ts";

const SECRET = "secret";

function keyed(charactersPerMonth: number, meter = new UsageMeter()): Access {
  const scopes = ["translate", "documents"];
  const record = { name: "shop", sha256: hashKey(SECRET), scopes, charactersPerMonth };
  const keys = parseKeys(JSON.stringify({ keys: [record] }), "the test");
  return new Access({ keys, anonymousPerMinute: 0, meter });
}

function upload(text: string): Request {
  const body = new FormData();
  body.set("file", new File([text], "a.txt"));
  body.set("source_lang", "EN");
  body.set("target_lang", "DE");
  const headers = { Authorization: `DeepL-Auth-Key ${SECRET}` };
  return new Request("http://localhost/v2/document", { method: "POST", headers, body });
}

const FULL = { message: "Quota Exceeded: the key has 100 characters a month" };

/** What of a document's text was held is given back in the turn in which it ends. */
async function settled(access: Access): Promise<void> {
  while (access.meter.held("shop") > 0) await new Promise((r) => setTimeout(r, 1));
}

Deno.test("documents under way cannot go beyond the quota together, nor texts beside them", async () => {
  const access = keyed(100);
  const { app, engine } = testApp({ access });
  engine.held = true;
  const text = "Öffne 12. ".repeat(6); // 60 characters, 66 bytes.
  assertEquals((await app.request(upload(text))).status, 200);
  const refused = await app.request(upload(text));
  assertEquals([refused.status, await refused.json()], [456, FULL]);
  assert(Number(refused.headers.get("Retry-After")) > 0);
  const texts = await app.request("/v2/translate", {
    method: "POST",
    headers: { Authorization: `DeepL-Auth-Key ${SECRET}`, "Content-Type": "application/json" },
    body: JSON.stringify({ text: ["x".repeat(41)], source_lang: "EN", target_lang: "DE" }),
  });
  assertEquals([texts.status, await texts.json()], [456, FULL]);
  assertEquals((await app.request(upload(text.slice(20)))).status, 200, "what fits is taken");
  assertEquals(access.meter.snapshot().characters, {}, "a crash now would cost nothing");
});

Deno.test("a document that is done counts as its texts, one that failed or was withdrawn not", async () => {
  const access = keyed(100);
  const { app, engine, options } = testApp({ access });
  const used = () => [access.meter.used("shop"), access.meter.held("shop")];
  const job = async (request: Request) => {
    const { document_id } = await (await app.request(request)).json();
    return options.desk.find(document_id)!;
  };
  await (await job(upload("\n\n\nOpen.\n\n\n"))).finished;
  await settled(access);
  assertEquals(used(), [5, 0], "lines between are no text");
  engine.refusal = new MoqeError("unavailable", { action: "translate", rule: "no device" });
  const failed = await job(upload("x".repeat(90)));
  await failed.finished;
  await settled(access);
  assertEquals([failed.status, ...used()], ["error", 5, 0]);
  engine.refusal = undefined;
  engine.held = true;
  const running = await job(upload("x".repeat(50))), waiting = await job(upload("y".repeat(45)));
  assertEquals([running.status, waiting.status, ...used()], ["translating", "queued", 5, 95]);
  for (const { id } of [waiting, running]) options.desk.remove(id);
  await settled(access);
  assertEquals(used(), [5, 0]);
});

Deno.test("a document that the desk has no room for holds nothing of the quota", async () => {
  const { app, engine, options } = testApp({ access: keyed(200_000) });
  engine.held = true;
  const big = "word ".repeat(8000), statuses: number[] = [];
  for (let i = 0; i < 3; i++) statuses.push((await app.request(upload(big))).status);
  assertEquals(statuses, [200, 200, 503]);
  assertEquals(options.access.meter.held("shop"), 80_000);
});

Deno.test("the month turns while a document is under way: it counts in the month in which it ends", () => {
  let now = new Date("2026-11-30T23:59:00Z");
  const access = keyed(100, new UsageMeter(() => now));
  const client = access.identify(SECRET);
  const settle = access.reserve(client, 60);
  access.charge(client, 40);
  now = new Date("2026-12-01T00:00:00Z");
  assertThrows(() => access.charge(client, 41), RequestError, "Quota Exceeded");
  settle(50);
  settle(50);
  assertEquals([access.meter.used("shop"), access.meter.held("shop")], [50, 0]);
});
