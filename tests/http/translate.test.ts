import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { chooseSources } from "../../src/http/detection.ts";
import { assertProportional } from "../text/work.ts";
import { post, testApp } from "./double.ts";

const ok = { q: "Hello", source: "en", target: "de" };

Deno.test("POST /translate answers one text with a string and a batch with an array", async () => {
  const { app, engine } = testApp();
  const one = await app.request(post(ok));
  assertEquals(one.status, 200);
  assertEquals(await one.json(), { translatedText: "deu Hello" });
  const batch = await app.request(post({ ...ok, q: ["a", "b"], target: "fra_Latn" }));
  assertEquals(await batch.json(), { translatedText: ["fra a", "fra b"] });
  assertEquals(engine.calls[0], {
    texts: ["Hello"],
    source: "eng_Latn",
    target: "deu_Latn",
    beams: 4,
    lengthPenalty: 1,
    maxTokens: 200,
    alternatives: 0,
    split: "off",
  });
});

Deno.test("POST /translate reads a form, a multipart form and a query string", async () => {
  const { app } = testApp();
  const url = "/translate?source=en&target=de";
  const expected = { translatedText: "deu Grüße & so" };
  const form = new URLSearchParams({ q: "Grüße & so", source: "en", target: "de", format: "text" });
  assertEquals(
    await (await app.request("/translate", { method: "POST", body: form })).json(),
    expected,
  );
  const parts = new FormData();
  parts.set("q", "Grüße & so");
  assertEquals(await (await app.request(url, { method: "POST", body: parts })).json(), expected);
  const query = `${url}&q=${encodeURIComponent("Grüße & so")}`;
  assertEquals(await (await app.request(query, { method: "POST" })).json(), expected);
  const twice = await app.request(`${url}&q=a&q=b`, { method: "POST" });
  assertEquals(await twice.json(), { translatedText: ["deu a", "deu b"] });
});

Deno.test("POST /translate gives alternatives, and widens the beam for them", async () => {
  const { app, engine } = testApp();
  const one = await app.request(post({ ...ok, alternatives: 6 }));
  assertEquals((await one.json()).alternatives.length, 6);
  assertEquals(engine.calls[0]!.beams, 7);
  const batch = await app.request(post({ ...ok, q: ["a"], alternatives: 1, beams: 2 }));
  assertEquals((await batch.json()).alternatives, [["a (1)"]]);
  const narrow = await app.request(post({ ...ok, alternatives: 2, beams: 2 }));
  assertEquals(narrow.status, 400);
  assertStringIncludes((await narrow.json()).error, "beams of at least 3");
});

Deno.test("POST /translate passes beams, length_penalty and max_tokens on", async () => {
  const { app, engine } = testApp();
  await app.request(post({ ...ok, beams: 1, length_penalty: 0.6, max_tokens: 9, api_key: "x" }));
  const { beams, lengthPenalty, maxTokens } = engine.calls[0]!;
  assertEquals({ beams, lengthPenalty, maxTokens }, { beams: 1, lengthPenalty: 0.6, maxTokens: 9 });
});

const refused: [string, unknown, string][] = [
  ["no q", { source: "en", target: "de" }, "Invalid request: missing q parameter"],
  ["an empty q", { ...ok, q: "" }, "Invalid request: missing q parameter"],
  ["an empty batch", { ...ok, q: [] }, "Invalid request: missing q parameter"],
  ["q as a number", { ...ok, q: 7 }, "Invalid request: q must be a string or an array of strings"],
  ["no source", { q: "a", target: "de" }, "Invalid request: missing source parameter"],
  ["no target", { q: "a", source: "en" }, "Invalid request: missing target parameter"],
  ["an unknown source", { ...ok, source: "xx" }, "xx is not supported"],
  ["a language without a model", { ...ok, target: "ja" }, "ja is not supported"],
  [
    "an untrained pair",
    { ...ok, source: "de", target: "en" },
    "English (en) is not available as a target language from German (de)",
  ],
  [
    "a long text",
    { ...ok, q: "😀".repeat(101) },
    "Invalid request: request (101) exceeds text limit (100)",
  ],
  [
    "many texts",
    { ...ok, q: ["a", "b", "c", "d", "e"] },
    "Invalid request: request (5) exceeds text limit (4)",
  ],
  ["another format", { ...ok, format: "pdf" }, "pdf format is not supported"],
  ["a format that is no word", { ...ok, format: [[["pdf"]]] }, "this format is not supported"],
  [
    "many texts that are none, before it looks at them",
    { ...ok, q: Array(1000).fill(1) },
    "Invalid request: request (1000) exceeds text limit (4)",
  ],
  ["broken JSON", "{", "Invalid JSON format"],
  ["JSON that is no object", "[1]", "Invalid JSON format"],
];
for (const [what, body, message] of refused) {
  Deno.test(`POST /translate refuses ${what} with 400 and says why`, async () => {
    const { app, engine } = testApp();
    const response = await app.request(post(body));
    assertEquals((await response.json()).error, message);
    assertEquals([response.status, engine.calls.length], [400, 0]);
  });
}

Deno.test("what is not supported is refused with the list of what is", async () => {
  const { app } = testApp();
  const unknown = await (await app.request(post({ ...ok, target: "ja" }))).json();
  assertEquals(unknown.supported, ["de", "en", "fr"]);
  const untrained = await (await app.request(post({ ...ok, source: "de", target: "fr" }))).json();
  assertEquals(untrained.supported, [{ code: "en", name: "English", targets: ["de", "fr"] }]);
});

Deno.test("POST /translate names every option that is out of range", async () => {
  const { app } = testApp();
  const response = await app.request(post({ ...ok, beams: 99, max_tokens: "many" }));
  assertEquals(response.status, 400);
  const { error } = await response.json();
  assertStringIncludes(error, "beams:");
  assertStringIncludes(error, "max_tokens:");
});

Deno.test("a body over the limit is 413, with and without a length", async () => {
  const { app } = testApp({ limits: { maxBodyBytes: 64 } });
  const long = JSON.stringify({ ...ok, q: "x".repeat(90) });
  const stream = new Response(long).body!;
  const headers = { "Content-Type": "application/json" };
  for (const request of [post(long), post("", { body: stream, headers })]) {
    const response = await app.request(request);
    assertEquals(response.status, 413);
    assertEquals(await response.json(), { error: "Invalid request: the body exceeds 64 bytes" });
  }
});

Deno.test("no route reads more of a body than its limit, whatever its method", async () => {
  const { app } = testApp();
  const routes = new Set(
    app.routes.filter((r) => r.method !== "ALL").map((r) => `${r.method} ${r.path}`),
  );
  let readers = 0;
  for (const route of routes) {
    const [method, path] = route.split(" ") as [string, string];
    if (method === "GET") continue;
    for (const type of ["application/json", "multipart/form-data; boundary=b"]) {
      let sent = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          controller.enqueue(new Uint8Array(8192).fill(0x20));
          if ((sent += 8192) >= 4 * 2 ** 20) controller.close();
        },
      }, { highWaterMark: 0 });
      const headers = { "Content-Type": type };
      const url = `http://localhost${path.replace(/:\w+/g, "x")}`;
      const response = await app.request(new Request(url, { method, headers, body }));
      assert(response.status >= 400, `${route} answered ${response.status}`);
      // The largest limit here is a document's, with what a form says around it.
      assert(sent <= 50_000 + 64 * 1024 + 2 * 8192, `${route} read ${sent} bytes of ${type}`);
      if (sent > 0) readers++;
    }
  }
  assert(readers >= 16, `only ${readers} routes read a body`);
});

Deno.test("a body that is compressed is 415 with the remedy", async () => {
  const { app } = testApp();
  const headers = { "Content-Type": "application/json", "Content-Encoding": "gzip" };
  const stream = new Blob([JSON.stringify(ok)]).stream().pipeThrough(new CompressionStream("gzip"));
  const body = await new Response(stream).arrayBuffer();
  const response = await app.request("/translate", { method: "POST", headers, body });
  assertEquals(response.status, 415);
  assertStringIncludes((await response.json()).error, "without Content-Encoding");
  const plain = await app.request(
    post(ok, { headers: { ...headers, "Content-Encoding": "identity" } }),
  );
  assertEquals(plain.status, 200);
});

Deno.test("DeepL's flags may be booleans, words or numbers", async () => {
  const { app } = testApp();
  const flags = (value: unknown) => ({ preserve_formatting: value, outline_detection: value });
  for (const [value, status] of [[0, 200], [1, 200], [true, 200], ["1", 200], [2, 400]]) {
    const response = await app.request("/v2/translate", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: ["a"], source_lang: "EN", target_lang: "DE", ...flags(value) }),
    });
    assertEquals(response.status, status, `${value}: ${await response.text()}`);
  }
});

Deno.test("a body of another type is 415", async () => {
  const { app } = testApp();
  const response = await app.request("/translate", {
    method: "POST",
    headers: { "Content-Type": "text/plain" },
    body: "Hello",
  });
  assertEquals(response.status, 415);
  assertStringIncludes((await response.json()).error, "application/json");
});

const thrown: [MoqeError["code"], number][] = [
  ["bad_input", 400],
  ["too_large", 413],
  ["overloaded", 503],
  ["expired", 504],
  ["unavailable", 503],
  ["cancelled", 499],
  ["corrupt", 500],
  ["internal", 500],
];
for (const [code, status] of thrown) {
  Deno.test(`an engine's ${code} becomes ${status}`, async () => {
    const { app, engine } = testApp();
    engine.refusal = new MoqeError(code, { action: "translate", rule: "the rule" }, {
      retryAfterSeconds: 3.2,
    });
    const response = await app.request(post(ok));
    assertEquals(response.status, status);
    assertEquals(response.headers.get("Retry-After"), status === 503 ? "4" : null);
    const body = await response.text();
    if (status === 500) assertStringIncludes(body, response.headers.get("X-Request-Id")!);
    else if (status !== 499) assertEquals(JSON.parse(body).error, "cannot translate: the rule");
  });
}

Deno.test("the engine is told how much of a request's time is left", async () => {
  const { app, engine } = testApp({ limits: { requestTimeoutMs: 5000 } });
  assertEquals((await app.request(post(ok))).status, 200);
  const [timeoutMs] = engine.timeouts;
  assert(timeoutMs !== undefined && timeoutMs > 0 && timeoutMs <= 5000, `${timeoutMs}`);
});

Deno.test("an unforeseen error is logged under the request's id and never shown", async () => {
  const { app, engine, lines } = testApp();
  engine.refusal = new TypeError("secret detail");
  const response = await app.request(post(ok));
  const body = await response.text();
  assertEquals([response.status, body.includes("secret")], [500, false]);
  const line = lines.map((l) => JSON.parse(l)).find((l) => l.level === "error");
  assertEquals(line.requestId, response.headers.get("X-Request-Id"));
  assertStringIncludes(line.error, "secret detail");
});

Deno.test("detection in markup takes work in proportion", async () => {
  const { engine, options } = testApp();
  await assertProportional("tags never closed", 3_000, async (length) => {
    const job = { texts: ["<".repeat(length)], source: undefined, target: "deu_Latn" };
    await chooseSources({ ...job, format: "html" }, engine.info!, options);
  });
});

Deno.test("the language of a document is that of what is translated in it", async () => {
  const { app, engine, options } = testApp({ limits: { maxBodyBytes: 100_000 } });
  const style = ".btn { margin: 0 auto; padding: 1em; border-radius: 3px; }\n".repeat(300);
  const text = "The file could not be opened. Please choose another folder and try again.";
  const files: [string, string][] = [
    ["a.html", `<head><style>${style}</style></head><p>${text}</p>`],
    [
      "a.po",
      `msgid "x"\nmsgstr "${
        "Das ist schon übersetzt. ".repeat(20)
      }"\n\nmsgid "${text}"\nmsgstr ""\n`,
    ],
  ];
  for (const [name, content] of files) {
    const body = new FormData();
    body.set("file", new File([content], name));
    body.set("target_lang", "DE");
    const response = await app.request("/v2/document", { method: "POST", body });
    const { document_id, message } = await response.json();
    assertEquals([response.status, message], [200, undefined], name);
    const job = options.desk.find(document_id)!;
    await job.finished;
    assertStringIncludes(new TextDecoder().decode(job.result), "deu The file", name);
    assertEquals(engine.calls.at(-1)!.source, "eng_Latn");
  }
  const page = {
    q: `<style>${style.slice(0, 3000)}</style>${text}`,
    source: "auto",
    target: "de",
    format: "html",
  };
  const { app: wide } = testApp({ limits: { maxBodyBytes: 100_000, maxChars: 10_000 } });
  const answer = await (await wide.request(post(page))).json();
  assertEquals(answer.detectedLanguage?.language, "en");
});
