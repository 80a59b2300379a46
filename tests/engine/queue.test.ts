import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { type Job, type Request, WaitingLine } from "../../src/engine/queue.ts";
import { Scheduler } from "../../src/engine/scheduler.ts";
import { goldenFolder, readGolden } from "../support/golden.ts";
import { withModel } from "../support/model.ts";

const job: Job = {
  source: Int32Array.of(5, 6, 2),
  prefix: [2, 9],
  forced: 1,
  beams: 1,
  lengthPenalty: 1,
  maxTokens: 8,
};

function request(count: number): Request {
  const jobs = Array.from({ length: count }, () => job);
  return {
    jobs,
    results: [],
    next: 0,
    done: 0,
    closed: false,
    onProgress: undefined,
    resolve() {},
    reject() {},
  };
}

Deno.test("requests take turns: a long one does not keep a short one waiting", () => {
  const line = new WaitingLine(10);
  const long = request(4), short = request(1);
  line.push(long);
  line.push(short);
  const order: string[] = [];
  for (let turn = line.peek(); turn !== undefined; turn = line.peek()) {
    order.push(`${turn.request === long ? "long" : "short"} ${turn.index}`);
    line.take();
  }
  assertEquals(order, ["long 0", "short 0", "long 1", "long 2", "long 3"]);
  assertEquals(line.length, 0);
});

Deno.test("a full line refuses with a time to come back, a request that never fits is told so", () => {
  const line = new WaitingLine(5);
  line.push(request(4));
  const full = assertThrows(() => line.admit(2, 2), MoqeError);
  assertEquals([full.code, full.retryAfterSeconds], ["overloaded", 2]);
  assertEquals(assertThrows(() => line.admit(6, 2), MoqeError).code, "too_large");
  line.admit(1, 2);
});

Deno.test("a sentence that can never fit the K/V pages is refused before it waits", async () => {
  const widths = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;
  await withModel(goldenFolder("baseline"), widths, async (m) => {
    const scheduler = new Scheduler(m.model, m.spec, { maxRows: 8, maxQueue: 4 });
    const source = Int32Array.from(readGolden("baseline").sentences[4]!.source);
    const long = await assertRejects(
      () => scheduler.run([{ ...job, source }]),
      MoqeError,
      "rows are the most",
    );
    assertEquals(long.code, "too_large");
    const wide = await assertRejects(() => scheduler.run([{ ...job, beams: 17 }]), MoqeError);
    assertEquals(wide.code, "too_large");
    assertEquals(wide.parts.remedy, "ask for fewer beams or tokens, or raise --max-batch-tokens");
    // Two of three tokens each start at once (8 rows), two wait: three more are one too many.
    const many = scheduler.run([job, job, job, job]);
    const refused = await assertRejects(() => scheduler.run([job, job, job]), MoqeError);
    assertEquals(refused.code, "overloaded");
    assertEquals((await many).length, 4, "what was accepted is answered");
  });
});
