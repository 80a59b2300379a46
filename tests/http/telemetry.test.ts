/** Deno's own OpenTelemetry, pushed to a collector of this test: spans there are, secrets and texts are not. */
import { assert, assertEquals } from "@std/assert";
import { hashKey } from "../../src/http/access/keys.ts";
import { spawnMoqe } from "../cli/moqe.ts";
import { after, Served } from "./served.ts";

const KEY = "a-key-that-no-span-may-have";
const KEYS = JSON.stringify({ keys: [{ name: "shop", sha256: hashKey(KEY) }] });

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

interface Span {
  name: string;
  traceId: string;
  kind: number;
  attributes: { key: string; value: { stringValue?: string } }[];
}

Deno.test("spans of requests reach a collector; no query, no key, no text does", async () => {
  const spans: Span[] = [];
  let everything = "";
  const collector = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (r) => {
      const text = await r.text();
      everything += text;
      if (!new URL(r.url).pathname.endsWith("/traces")) return Response.json({});
      for (const resource of JSON.parse(text).resourceSpans) {
        for (const scope of resource.scopeSpans) spans.push(...scope.spans);
      }
      return Response.json({});
    },
  );
  const served = await Served.of(spawnMoqe(["serve", "--port", "0", "--keys-json", KEYS], {
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
    OTEL_BSP_SCHEDULE_DELAY: "100",
  }));
  const query = `q=Delete+the+messages&source=en&target=de&api_key=${KEY}`;
  const answer = await fetch(`${served.url}/translate?${query}`, {
    method: "POST",
    headers: { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` },
  });
  assertEquals(answer.status, 200, await answer.text());
  const server = () =>
    spans.find((s) =>
      s.kind === 2 &&
      s.attributes.some((a) => a.key === "url.path" && a.value.stringValue === "/translate")
    );
  for (let i = 0; i < 200 && server() === undefined; i++) await after(50);
  assertEquals(await served.end(), 0);
  await collector.shutdown();
  assert(server() !== undefined, "the request has a span");
  assertEquals([server()!.name, server()!.traceId], ["POST /translate", TRACE]);
  assertEquals([everything.includes(KEY), everything.includes("Delete")], [false, false]);
  assertEquals(served.output.err.includes(KEY), false);
});
