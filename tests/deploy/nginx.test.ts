/** deploy/nginx.conf, run by nginx before two replicas of the real service. */
import { assertEquals } from "@std/assert";
import { modelAddress } from "../../src/cli/model.ts";
import { after } from "../http/served.ts";
import { testNeeding } from "../support/needs.ts";
import { type Balanced, startNginx } from "../support/nginx.ts";

testNeeding("nginx")(
  "nginx sends one language to one replica, and a client back to its documents",
  async () => {
    const balanced = await startNginx([
      "--model",
      modelAddress(undefined),
      "--threads",
      "1",
      "--beams",
      "1",
      "--detection",
      "off",
    ]);
    try {
      await checkRoutes(balanced);
      await checkDocuments(balanced.url);
    } finally {
      await balanced.close();
    }
  },
);

/** One language goes to one replica, however the request says it; /metrics is not there from outside. */
async function checkRoutes({ url, log }: Balanced): Promise<void> {
  const from = (await log()).length;
  const form = new URLSearchParams({ q: "Save it.", source: "en", target: "DE" });
  const parts = new FormData();
  for (const [name, value] of form) parts.set(name, value);
  const json = { "Content-Type": "application/json" };
  const deepl = JSON.stringify({ text: ["Save it."], source_lang: "EN", target_lang: "DE" });
  const asked: [string, RequestInit][] = [
    ["/translate", { method: "POST", body: form }],
    ["/translate", { method: "POST", body: parts }],
    [`/translate?${form}`, { method: "POST" }],
    ["/v2/translate", { method: "POST", headers: json, body: deepl }],
    ["/translate", {
      method: "POST",
      headers: json,
      body: JSON.stringify({ q: "Save it.", source: "en", target: "de-AT" }),
    }],
  ];
  for (const [path, init] of asked) {
    const answer = await fetch(url + path, init);
    assertEquals(answer.status, 200, `${path}: ${await answer.clone().text()}`);
    await answer.body?.cancel();
  }
  // A line is written when its answer is through; those of the start's health checks may come late, too.
  let lines: string[];
  do {
    await after(20);
    lines = (await log()).slice(from).split("\n").filter((line) => line.includes(" POST "));
  } while (lines.length < asked.length);
  const places = new Set(lines.map((line) => line.split(" ")[5]));
  assertEquals(places.size, 1, lines.join("\n"));
  assertEquals((await fetch(`${url}/metrics`)).status, 404);
}

/** A document comes back from the replica that took it, whatever its language, at an address that can be fetched. */
async function checkDocuments(url: string): Promise<void> {
  for (const target of ["de", "fr", "es"]) {
    const form = new FormData();
    form.set("file", new File(["Save it."], "a.txt"));
    form.set("source_lang", "en");
    form.set("target_lang", target);
    const { document_id, document_key } =
      await (await fetch(`${url}/v2/document`, { method: "POST", body: form })).json();
    const body = new URLSearchParams({ document_key });
    const status = await fetch(`${url}/v2/document/${document_id}`, { method: "POST", body });
    assertEquals(status.status, 200, await status.text());
    form.set("source", "en");
    form.set("target", target);
    const file = await fetch(`${url}/translate_file`, { method: "POST", body: form });
    const download = await fetch((await file.json()).translatedFileUrl);
    assertEquals(download.status, 200, await download.text());
  }
}
