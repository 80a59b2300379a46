/**
 * LibreTranslate's API route by route: what its own tests, clients and page rely on. Its own tests themselves run by
 * tests/manual/libre_tests.ts.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { post, testApp } from "./double.ts";

type App = ReturnType<typeof testApp>["app"];

async function ask(app: App, path: string, init?: RequestInit) {
  const response = await app.request(path, init);
  assertStringIncludes(response.headers.get("Content-Type")!, "application/json");
  return { status: response.status, body: await response.json() };
}
const sent = (body?: BodyInit) => ({ method: "POST", ...(body === undefined ? {} : { body }) });

Deno.test("GET /health is ok where the model answers, and an error with Retry-After where not", async () => {
  const { app, engine, gate } = testApp();
  assertEquals(await ask(app, "/health"), { status: 200, body: { status: "ok" } });
  for (const [state, said] of [["loading", "25 %"], ["failed", "GET /ready says why"]] as const) {
    engine.state = state;
    const refused = await app.request("/health");
    assert(Number(refused.headers.get("Retry-After")) > 0);
    assertStringIncludes((await refused.json()).error, said);
    assertEquals(refused.status, 503);
  }
  engine.state = "ready";
  gate.drain();
  const { status, body } = await ask(app, "/health");
  assertEquals([status, Object.keys(body)], [503, ["error"]]);
});

Deno.test("GET /spec is the OpenAPI document, with what LibreTranslate's routes take and answer", async () => {
  const { app } = testApp();
  const { status, body } = await ask(app, "/spec");
  assertEquals(status, 200);
  assertEquals(body, (await ask(app, "/openapi.json")).body);
  const takes = (path: string, type: string) =>
    Object.keys(body.paths[path].post.requestBody.content[type].schema.properties).sort();
  for (const type of ["application/json", "application/x-www-form-urlencoded"]) {
    const fields = takes("/translate", type);
    for (const name of ["q", "source", "target", "format", "alternatives", "api_key"]) {
      assert(fields.includes(name), `${type} has ${fields}`);
    }
    assertEquals(takes("/detect", type), ["api_key", "q"]);
  }
  assertEquals(takes("/translate_file", "multipart/form-data"), [
    "api_key",
    "file",
    "source",
    "target",
  ]);
  for (const path of ["/languages", "/frontend/settings", "/health", "/download_file/{name}"]) {
    assert("get" in body.paths[path], path);
  }
});

Deno.test("another method is 405 with Allow on every path, whatever the path is for", async () => {
  const { app } = testApp();
  const allowed: [string, string][] = [
    ...["/spec", "/health", "/live", "/languages", "/frontend/settings", "/docs", "/"],
    ...["/openapi.json", "/download_file/a.txt", "/page.js", "/v2/glossaries/a/entries"],
  ].map((path) => [path, "GET"]);
  for (const path of ["/translate", "/detect", "/translate_file", "/suggest", "/v2/document"]) {
    allowed.push([path, "POST"]);
  }
  allowed.push(["/v2/usage", "GET, POST"], ["/v3/glossaries/a", "GET, PATCH, DELETE"]);
  for (const [path, allow] of allowed) {
    for (const method of ["GET", "POST", "PUT"].filter((m) => !allow.split(", ").includes(m))) {
      const response = await app.request(path, { method });
      assertEquals([response.status, response.headers.get("Allow")], [405, allow], path);
      const [name] = Object.keys(await response.json());
      assertEquals(name, /^\/v[23]/.test(path) ? "message" : "error");
    }
  }
  assertEquals((await app.request("/nothing", { method: "POST" })).status, 404);
});

Deno.test("a request without a body, or without a field, says which one is missing", async () => {
  const { app } = testApp();
  const all: [string, string][] = [["q", "Hello"], ["source", "en"], ["target", "de"]];
  const missing = (name: string) => ({
    status: 400,
    body: { error: `Invalid request: missing ${name} parameter` },
  });
  for (const path of ["/detect", "/translate"]) {
    assertEquals(await ask(app, path, sent()), missing("q"));
  }
  for (const [name] of all) {
    const form = new URLSearchParams(all.filter(([other]) => other !== name));
    assertEquals(await ask(app, "/translate", sent(form)), missing(name));
  }
  const file = new FormData();
  file.set("a", "b");
  for (
    const [name, value] of [
      ["file", new File(["x"], "program.exe")],
      ["source", "en"],
      ["target", "de"],
    ] as const
  ) {
    assertEquals(await ask(app, "/translate_file", sent(file)), missing(name));
    file.set(name, value);
  }
  assertEquals((await ask(app, "/translate_file", sent(file))).body, {
    error: "Invalid request: file format not supported",
  });
});

Deno.test("a form and a list are translated, a language that there is not is refused in LibreTranslate's words", async () => {
  const { app } = testApp();
  const pair = { source: "en", target: "de", format: "text" };
  const one = await ask(app, "/translate", sent(new URLSearchParams({ q: "Hello", ...pair })));
  assertEquals([one.status, Object.keys(one.body), typeof one.body.translatedText], [
    200,
    ["translatedText"],
    "string",
  ]);
  const many = await (await app.request(post({ q: ["Hello", "World"], ...pair }))).json();
  assertEquals(many.translatedText.length, 2);
  const form = new URLSearchParams({ q: "Hello", ...pair, target: "zz" });
  const { status, body } = await ask(app, "/translate", sent(form));
  assertEquals([status, body.error], [400, "zz is not supported"]);
});

Deno.test("/frontend/settings has LibreTranslate's fields, /languages and /detect, too", async () => {
  const { app } = testApp();
  const { body: { supportedFilesFormat: formats, ...settings } } = await ask(
    app,
    "/frontend/settings",
  );
  assertEquals(settings, {
    apiKeys: false,
    charLimit: 100,
    filesTranslation: true,
    frontendTimeout: 500,
    keyRequired: false,
    language: {
      source: { code: "en", name: "English" },
      target: { code: "de", name: "German" },
    },
    suggestions: false,
  });
  for (const format of [".txt", ".html", ".srt"]) assert(formats.includes(format));
  for (const language of (await ask(app, "/languages")).body) {
    assertEquals(Object.keys(language).sort(), ["code", "name", "targets"]);
  }
  const form = new URLSearchParams({ q: "Hello, how are you today?" });
  const [best] = (await ask(app, "/detect", sent(form))).body;
  assertEquals([Object.keys(best).sort(), best.language], [["confidence", "language"], "en"]);
});

Deno.test("/suggest is refused as by a LibreTranslate that takes no suggestions", async () => {
  const { app } = testApp();
  const { status, body } = await ask(app, "/suggest", sent(new URLSearchParams({ q: "a" })));
  assertEquals([status, Object.keys(body)], [403, ["error"]]);
  assertStringIncludes(body.error, "takes no suggestions");
});
