import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { DocumentDesk, type TranslateWork } from "../../src/http/documents/desk.ts";
import { Gate } from "../../src/http/gate.ts";
import { testApp } from "./double.ts";

const LIMITS = { maxBytes: 1000, maxDocumentBytes: 300, keepMs: 60_000, maxRunning: 1 };
const bytes = (n: number) => new Uint8Array(n);
const at = (desk: DocumentDesk, n: number, work: TranslateWork) =>
  desk.submit({ api: "deepl", owner: "a", name: "a.txt", bytes: bytes(n) }, work);
const echo: TranslateWork = (bytes) => Promise.resolve({ bytes, characters: bytes.length });

Deno.test("a document is counted with what it may become, then with what it became", async () => {
  const desk = new DocumentDesk(LIMITS, new Gate(8));
  const job = at(desk, 100, echo);
  assertEquals(desk.bytes, 300);
  await job.finished;
  assertEquals([job.status, job.characters, desk.bytes], ["done", 100, 100]);
  desk.remove(job.id);
  assertEquals([desk.bytes, desk.find(job.id)], [0, undefined]);
});

Deno.test("what does not fit is refused, for good or for now", () => {
  const desk = new DocumentDesk(LIMITS, new Gate(8));
  const never: TranslateWork = () => new Promise(() => {});
  assertEquals(assertThrows(() => at(desk, 301, never), MoqeError).code, "too_large");
  at(desk, 300, never);
  assertEquals(assertThrows(() => at(desk, 100, never), MoqeError).code, "overloaded");
  assertEquals(desk.bytes, 900);
});

Deno.test("documents run in turn and hold the gate; one that is withdrawn stops or never starts", async () => {
  const gate = new Gate(8);
  const desk = new DocumentDesk(LIMITS, gate);
  let stopped = false;
  const first = at(desk, 10, (bytes, { signal }) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        stopped = true;
        resolve({ bytes, characters: 1 });
      });
    }));
  const second = at(desk, 10, echo), third = at(desk, 10, echo);
  assertEquals([first.status, second.status, gate.inFlight], ["translating", "queued", 1]);
  desk.remove(second.id);
  await second.finished;
  assertEquals(second.status, "error");
  desk.remove(first.id);
  await third.finished;
  assertEquals([stopped, third.status, desk.bytes], [true, "done", 10]);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(gate.inFlight, 0);
});

Deno.test("an error is told in words that are for users, and finished documents are forgotten", async () => {
  let now = 0;
  const desk = new DocumentDesk(LIMITS, new Gate(8), () => now);
  const refused = at(desk, 10, () => {
    throw new MoqeError("bad_input", { action: "read", rule: "the rule" });
  });
  const broken = at(desk, 10, () => {
    throw new TypeError("secret detail");
  });
  await Promise.all([refused.finished, broken.finished]);
  assertEquals([refused.error, broken.error], ["cannot read: the rule", "internal error"]);
  now = 60_001;
  assertEquals([desk.find(refused.id), desk.find(broken.id), desk.bytes], [
    undefined,
    undefined,
    0,
  ]);
});

function upload(path: string, name: string, languages: Record<string, string>): Request {
  const body = new FormData();
  body.set("file", new File(["Open the file."], name));
  for (const [field, value] of Object.entries(languages)) body.set(field, value);
  return new Request(`http://localhost${path}`, { method: "POST", body });
}
const LIBRE = { source: "en", target: "de" }, DEEPL = { source_lang: "EN", target_lang: "DE" };

Deno.test("a file that fails is answered with the failure's own status", async () => {
  const { app, engine } = testApp();
  engine.refusal = new MoqeError("unavailable", {
    action: "translate",
    rule: "the device is lost",
  });
  const away = await app.request(upload("/translate_file", "a.txt", LIBRE));
  assertEquals([away.status, away.headers.has("Retry-After")], [503, true]);
  engine.refusal = new TypeError("secret detail");
  const broken = await app.request(upload("/translate_file", "a.txt", LIBRE));
  assertEquals(broken.status, 500);
  assertMatch((await broken.json()).error, /^internal error; the log has it/);
});

Deno.test("a document that fails for a reason of ours is in the log", async () => {
  const { app, engine, lines, options } = testApp();
  engine.refusal = new TypeError("secret detail");
  const { document_id } = await (await app.request(upload("/v2/document", "a.txt", DEEPL))).json();
  const job = options.desk.find(document_id)!;
  await job.finished;
  assertEquals([job.status, job.error], ["error", "internal error"]);
  const told = lines.find((line) => line.includes("document failed"));
  assertMatch(told ?? "", /secret detail/);
});

Deno.test("a name that is cut inside a character can still be downloaded", async () => {
  const { app } = testApp();
  const name = `${"\u{1f600}".repeat(150)}x.txt`;
  const answer = await app.request(upload("/translate_file", name, LIBRE));
  const { translatedFileUrl } = await answer.json();
  const file = await app.request(new URL(translatedFileUrl).pathname);
  assertEquals([file.status, await file.text()], [200, "deu Open the file."]);
});

Deno.test("a document of DeepL's API opens with its key alone, not as LibreTranslate's download", async () => {
  const { app, options } = testApp();
  const of = async (r: Promise<Response> | Response) => await (await r).json();
  const deepl = await of(app.request(upload("/v2/document", "a.txt", DEEPL)));
  await options.desk.find(deepl.document_id)!.finished;
  for (const name of [deepl.document_id, `${deepl.document_id}.txt`, `${deepl.document_key}.txt`]) {
    const refused = await app.request(`/download_file/${name}`);
    assertEquals([refused.status, await refused.json()], [404, { error: "Invalid filename" }]);
  }
  const result = (id: string, key: string) =>
    app.request(`/v2/document/${id}/result`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ document_key: key }),
    });
  const libre = await of(app.request(upload("/translate_file", "a.txt", LIBRE)));
  const path = new URL(libre.translatedFileUrl).pathname;
  const id = path.replace(/^.*\/|\.txt$/g, "");
  assertEquals((await result(id, options.desk.find(id)!.key)).status, 404, "nor the other way");
  assertEquals(await (await app.request(path)).text(), "deu Open the file.");
  const { document_id, document_key } = deepl;
  assertEquals(await (await result(document_id, document_key)).text(), "deu Open the file.");
});

Deno.test("HEAD of a result takes nothing: the result is still there, once", async () => {
  const { app, options } = testApp();
  const body = new FormData();
  body.set("file", new File(["Hello"], "a.txt"));
  body.set("source_lang", "EN");
  body.set("target_lang", "DE");
  const sent = await app.request("/v2/document", { method: "POST", body });
  const { document_id, document_key } = await sent.json();
  await options.desk.find(document_id)!.finished;
  const ask = (method: string) =>
    app.request(`/v2/document/${document_id}/result?document_key=${document_key}`, { method });
  assertEquals((await ask("HEAD")).status, 200);
  assertEquals(await (await ask("GET")).text(), "deu Hello");
  assertEquals((await ask("GET")).status, 404);
});

Deno.test("where room is short what was handed out goes first, then what nobody fetched for minutes", async () => {
  let now = 0;
  const desk = new DocumentDesk({ ...LIMITS, keepMs: 3_600_000 }, new Gate(8), () => now);
  const a = at(desk, 300, echo);
  await a.finished;
  const second = at(desk, 200, echo);
  await second.finished;
  const third = at(desk, 100, echo);
  await third.finished;
  assertEquals(desk.bytes, 600);
  const refused = assertThrows(() => at(desk, 200, echo), MoqeError);
  assertEquals([refused.code, refused.retryAfterSeconds], ["overloaded", 300]);
  second.isFetched = true;
  const next = at(desk, 200, echo);
  await next.finished;
  assertEquals([desk.find(second.id), desk.find(a.id)?.status], [undefined, "done"]);
  now = 299_000;
  assertEquals(assertThrows(() => at(desk, 300, echo), MoqeError).retryAfterSeconds, 1);
  now = 300_000;
  await at(desk, 300, echo).finished;
  assertEquals(desk.find(a.id), undefined, "the oldest");
});

Deno.test("there are only so many documents, however small", () => {
  const never: TranslateWork = () => new Promise(() => {});
  const desk = new DocumentDesk({ ...LIMITS, maxBytes: 40_960 }, new Gate(8));
  for (let i = 0; i < 20; i++) at(desk, 1, never);
  assertEquals(assertThrows(() => at(desk, 1, never), MoqeError).code, "overloaded");
  assertEquals(desk.bytes, 60);
});

Deno.test("nothing is forgotten for a document that would not fit all the same", async () => {
  let now = 0;
  const never: TranslateWork = () => new Promise(() => {});
  const desk = new DocumentDesk({ ...LIMITS, keepMs: 3_600_000 }, new Gate(8), () => now);
  const done = at(desk, 100, echo);
  await done.finished;
  const failed = at(desk, 10, () => Promise.reject(new TypeError("broken")));
  await failed.finished;
  at(desk, 250, never);
  now = 300_000;
  assertEquals(assertThrows(() => at(desk, 200, never), MoqeError).code, "overloaded");
  assertEquals(desk.find(done.id)?.status, "done");
  at(desk, 70, never);
  assertEquals([desk.find(done.id), desk.find(failed.id)?.status], [undefined, "error"]);
});
