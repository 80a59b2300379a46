import { assertEquals, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { DocumentDesk, type TranslateWork } from "../../src/http/documents/desk.ts";
import { Gate } from "../../src/http/gate.ts";

const LIMITS = { maxBytes: 1000, maxDocumentBytes: 300, keepMs: 60_000, maxRunning: 1 };
const bytes = (n: number) => new Uint8Array(n);
const at = (desk: DocumentDesk, n: number, work: TranslateWork) =>
  desk.submit({ owner: "a", name: "a.txt", bytes: bytes(n) }, work);
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
