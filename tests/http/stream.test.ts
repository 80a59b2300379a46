/** Translations told while they are written, over a socket and from the shipped model. */
import { assert, assertEquals } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { post, testApp } from "./double.ts";
import { after, Served } from "./served.ts";

interface Event {
  event: string;
  // deno-lint-ignore no-explicit-any
  data: any;
}

const headers = { "Content-Type": "application/json", "Accept": "text/event-stream" };

/** Reads a stream of events to its end; `onEvent` may stop it. */
async function readEvents(
  response: Response,
  onEvent: (event: Event) => void = () => {},
): Promise<Event[]> {
  const events: Event[] = [];
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const event = /^event: (\w+)$/m.exec(block)?.[1];
      if (event === undefined) continue;
      events.push({ event, data: JSON.parse(/^data: (.*)$/m.exec(block)![1]!) });
      onEvent(events.at(-1)!);
    }
  }
  return events;
}

const joined = (events: Event[], index: number) =>
  events.filter((e) => e.event === "delta" && e.data.index === index)
    .map((e) => e.data.text).join("");

Deno.test("deltas join to the answer that the same request has without a stream", async () => {
  const served = await Served.start();
  const q = [
    "Open the file. Save it in {folder} as %s!\n\n- Press any key to return to the main menu.",
    "1234",
    "Do you really want to delete all messages from the <b>selected</b> account?",
  ];
  for (const beams of [1, 4]) {
    const body = { q, source: "en", target: "de", beams };
    const whole = await (await served.translate(body)).json();
    const response = await served.translate(body, { headers });
    assertEquals(response.headers.get("Content-Type")?.split(";")[0], "text/event-stream");
    const events = await readEvents(response);
    assertEquals(events.at(-1), { event: "done", data: whole });
    for (const [i, text] of whole.translatedText.entries()) assertEquals(joined(events, i), text);
    const first = events.filter((e) => e.event === "delta" && e.data.index === 0);
    assert(first.length >= (beams === 1 ? 5 : 2), `${first.length} deltas at ${beams} beams`);
  }
  const text = "Open the file and save it to another folder of this computer. ".repeat(40);
  const left = new AbortController();
  const body = { q: text, source: "en", target: "de", beams: 1 };
  const response = await served.translate(body, { headers, signal: left.signal });
  await readEvents(response, () => left.abort()).catch(() => {});
  const running = () => served.metric('moqe_queue_sentences{state="running"}');
  const waiting = () => served.metric('moqe_queue_sentences{state="waiting"}');
  for (let i = 0; i < 100 && await running() + await waiting() > 0; i++) await after(20);
  assertEquals([await running(), await waiting()], [0, 0], "a client that left holds nothing");
  assertEquals(await served.metric("moqe_http_requests_in_flight"), 0);
  assertEquals(await served.end(), 0);
});

Deno.test("a stream holds its place until it ends, and what fails on the way is an event", async () => {
  const { app, engine, gate, lines } = testApp();
  engine.held = true;
  const ask = () => app.request(post({ q: "Hello", source: "en", target: "de" }, { headers }));
  const response = await ask();
  await engine.called(1);
  assertEquals([response.status, gate.inFlight], [200, 1]);
  engine.release();
  const events = await readEvents(response);
  assertEquals(events.map((e) => e.event), ["delta", "done"]);
  assertEquals(gate.inFlight, 0);
  assertEquals(JSON.parse(lines.at(-1)!).message, "stream ended");
  engine.held = false;
  engine.refusal = new MoqeError("unavailable", { action: "translate", rule: "the store is down" });
  assertEquals(await readEvents(await ask()), [
    { event: "error", data: { error: "cannot translate: the store is down", status: 503 } },
  ]);
  engine.refusal = new TypeError("secret detail");
  const [{ data }] = await readEvents(await ask()) as [Event];
  assertEquals([data.status, data.error.includes("secret")], [500, false]);
  assertEquals(gate.inFlight, 0);
});

Deno.test("a request that is wrong is a plain 400 also where events are wanted", async () => {
  const { app, gate } = testApp();
  const response = await app.request(post({ q: "Hello", source: "en", target: "xx" }, { headers }));
  assertEquals([response.status, (await response.json()).error], [400, "xx is not supported"]);
  assertEquals(gate.inFlight, 0);
});

Deno.test("sentences of a long text are asked for in batches, so that the queue has room for them", async () => {
  const { app, engine } = testApp({ limits: { maxChars: 20_000, maxBodyBytes: 40_000 } });
  const q = Array.from({ length: 200 }, () => "Open the file.").join(" ");
  const body = { q, source: "en", target: "de", beams: 1 };
  const events = await readEvents(await app.request(post(body, { headers })));
  assertEquals(events.at(-1)?.event, "done");
  assertEquals(engine.calls.map((c) => c.texts.length), [64, 64, 64, 8]);
});
