/** /openapi.json has a status of a failure exactly where the route can be brought to answer with it. */
import { assert, assertEquals } from "@std/assert";
import { Access } from "../../src/http/access/access.ts";
import { hashKey, parseKeys } from "../../src/http/access/keys.ts";
import { UsageMeter } from "../../src/http/access/meter.ts";
import { openApiDocument } from "../../src/http/openapi/routes.ts";
import type { Operation } from "../../src/http/openapi/parts.ts";
import { testApp } from "./double.ts";

const SECRET = "secret";
const NOBODY = "00000000-0000-4000-8000-000000000000";

/** One route, and an application of its own to ask. */
interface Asked {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
  /** Of the only glossary that there is. */
  readonly id: string;
  readonly house: ReturnType<typeof testApp>;
  ask(init?: RequestInit, query?: string, id?: string): Promise<number>;
}

/** Fields that are right for every route at once. */
const dictionary = { source_lang: "EN", target_lang: "DE", entries: "a\tb", entries_format: "tsv" };
const FIELDS = {
  ...{ q: "Hello", source: "en", target: "de", api_key: SECRET },
  ...{ text: ["Hello"], name: "Terms", type: "source", dictionaries: [dictionary] },
  ...dictionary,
};

/** A body that the route takes, with further fields. */
function valid({ operation }: Asked, more: Record<string, string> = {}): RequestInit {
  const content = operation.requestBody?.["content"] as Record<string, unknown> | undefined;
  if (content === undefined) return {};
  if ("application/json" in content) return json({ ...FIELDS, ...more });
  const body = new FormData();
  for (const [name, value] of Object.entries({ ...FIELDS, ...more })) {
    if (typeof value === "string") body.set(name, value);
  }
  body.set("file", new File(["Hello"], "a.txt"));
  return { body };
}

const typed = (type: string, body: BodyInit): RequestInit => ({
  headers: { "Content-Type": type },
  body,
});
const json = (body: unknown) => typed("application/json", JSON.stringify(body));
/** The body where the method has one. */
const withBody = ({ method }: Asked, init: RequestInit) => method === "GET" ? {} : init;

function keyed(charactersPerMonth: number): Access {
  const scopes = ["translate", "documents", "glossaries", "admin"];
  const record = { name: "anonymous", sha256: hashKey(SECRET), scopes, charactersPerMonth };
  const keys = parseKeys(JSON.stringify({ keys: [record] }), "the test");
  return new Access({ keys, anonymousPerMinute: 0, meter: new UsageMeter() });
}

async function asked(
  [path, method, operation]: [string, string, Operation],
  options: Parameters<typeof testApp>[0] = {},
): Promise<Asked> {
  const house = testApp({ admin: "key", ...options });
  const { id } = await house.options.glossaries.create("anonymous", "Terms", [{
    source: "eng_Latn",
    target: "deu_Latn",
    glossary: { entries: [{ source: "a", target: "b" }] },
  }]);
  const ask = async (init: RequestInit = {}, query = "", place = id) => {
    const url = `http://localhost${path.replace(/\{\w+\}/, place)}${query}`;
    const response = await house.app.request(new Request(url, { method, ...init }));
    await response.body?.cancel();
    return response.status;
  };
  return { path, method, operation, id, house, ask };
}

/** How each status is brought about: an application of its own for each route, and what the route then says. */
const ways: Record<string, [() => Parameters<typeof testApp>[0], (to: Asked) => Promise<number>]> =
  {
    "400": [() => ({}), (to) => {
      if (to.method !== "GET") return to.ask(typed("application/json", "{"));
      return to.ask({}, "?type=x&source_lang=zz&target_lang=zz");
    }],
    "403": [() => ({ access: keyed(100) }), (to) => to.ask()],
    "404": [() => ({}), (to) => to.ask(valid(to, { glossary_id: NOBODY }), "", NOBODY)],
    "405": [() => ({}), (to) => to.ask({ method: "PROPFIND" })],
    "408": [
      () => ({ limits: { bodyTimeoutMs: 5 } }),
      (to) => to.ask(withBody(to, typed("application/json", new ReadableStream()))),
    ],
    "413": [() => ({}), (to) => to.ask(withBody(to, json({ q: "x".repeat(200_000) })))],
    "415": [() => ({}), (to) => to.ask(withBody(to, typed("text/plain", "Hello")))],
    "429": [
      () => ({ access: new Access({ keys: [], anonymousPerMinute: 1, meter: new UsageMeter() }) }),
      async (to) => {
        await to.ask();
        return await to.ask();
      },
    ],
    "456": [() => ({ access: keyed(1) }), (to) => to.ask(valid(to))],
    "499": [() => ({}), (to) => {
      const gone = new ReadableStream({ start: (c) => c.error(new Error("the client left")) });
      const signal = AbortSignal.abort();
      return to.ask({ ...withBody(to, typed("application/json", gone)), signal });
    }],
    "503": [() => ({}), async (to) => {
      if (to.path.endsWith("/result")) {
        const { id, query } = waiting(to);
        return await to.ask({}, query, id);
      }
      to.house.engine.state = "loading";
      const loading = await to.ask({}, "?source_lang=en&target_lang=de");
      if (loading === 503) return loading;
      to.house.gate.drain();
      return await to.ask(valid(to));
    }],
    "504": [
      () => ({ limits: { requestTimeoutMs: Number.MIN_VALUE } }),
      (to) => to.ask(valid(to)),
    ],
  };

/** A document that is not translated yet. */
function waiting({ house }: Asked): { id: string; query: string } {
  const { desk } = house.options;
  const of = { api: "deepl", owner: "anonymous", name: "a.txt", bytes: new Uint8Array(1) } as const;
  const { id, key } = desk.submit(of, () => new Promise(() => {}));
  return { id, query: `?document_key=${key}` };
}

const operations = Object.entries(openApiDocument().paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]): [string, string, Operation] => [
    path,
    method.toUpperCase(),
    operation,
  ])
);

for (const [status, [options, provoke]] of Object.entries(ways)) {
  Deno.test(`/openapi.json has ${status} where it occurs and nowhere else`, async () => {
    const found: string[] = [], described: string[] = [];
    for (const operation of operations) {
      const [path, method, { responses }] = operation;
      const to = await asked(operation, options());
      const answer = String(await provoke(to));
      if (answer === status) found.push(`${method} ${path}`);
      if (status in responses) described.push(`${method} ${path}`);
      assert(answer in responses, `${method} ${path} answers ${answer}, which is not described`);
    }
    assertEquals(described, found);
  });
}
