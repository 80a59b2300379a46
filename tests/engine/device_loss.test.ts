/** A GPU that goes away: requests are answered so, the model comes back by itself, and nothing else dies. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { openDevice, type OpenedDevice } from "../../src/backend/webgpu/adapter.ts";
import { loadEngine } from "../../src/engine/load.ts";
import type { EngineOptions, Event } from "../../src/engine/protocol.ts";
import { answerCommands } from "../../src/engine/worker.ts";
import { DISTURBANCES, TOLD } from "../support/disturb.ts";
import { testNeeding } from "../support/needs.ts";

const test = testNeeding("vulkan");

const MIB = 2 ** 20;
const options: EngineOptions = {
  model: new URL("../../models/tiny-en-de-fr-es/", import.meta.url).pathname,
  device: "webgpu",
  gpuMemory: 256 * MIB,
  hostMemory: 2048 * MIB,
  threads: 1,
  maxBatchTokens: 64,
  maxQueue: 100,
  maxSourceTokens: 32,
};

const params = {
  texts: ["The door is open."],
  source: "eng_Latn",
  target: "deu_Latn",
  beams: 1,
  lengthPenalty: 1,
  maxTokens: 16,
  alternatives: 0,
};

test("a lost device: what runs is answered 503, the model is loaded anew and answers as before", async () => {
  const devices: OpenedDevice[] = [], asked: string[] = [];
  const events: Event[] = [];
  let look = () => {};
  const answer = answerCommands((event) => {
    events.push(event);
    look();
  }, {
    device: async (device) => {
      asked.push(device);
      const opened = await openDevice();
      devices.push(opened);
      return { opened, reason: undefined };
    },
  });
  /** The next event of a kind, whenever it came. */
  const next = async <T extends Event["type"]>(type: T): Promise<Event & { type: T }> => {
    for (;;) {
      const at = events.findIndex((e) => e.type === type);
      if (at >= 0) return events.splice(at, 1)[0] as Event & { type: T };
      const failed = events.find((e) => e.type === "failed");
      assert(failed === undefined, JSON.stringify(failed));
      await new Promise<void>((resolve) => look = resolve);
    }
  };
  const translate = (id: number) =>
    answer({
      type: "ask",
      id,
      ask: { kind: "translate", params },
      stream: false,
      timeoutMs: undefined,
    });
  await answer({ type: "start", options: { ...options, device: "auto" } });
  await next("ready");
  translate(1);
  const expected = (await next("result")).answer;

  translate(2);
  // In the midst of it: the sentence has been taken from the queue.
  await new Promise((resolve) => setTimeout(resolve, 20));
  devices[0]!.device.destroy();
  const error = await next("error");
  assertEquals([error.id, error.error.code], [2, "unavailable"]);
  await next("lost");
  await next("ready");
  assertEquals(devices.length, 2, "on a device of its own");
  assertEquals(asked, ["auto", "webgpu"], "a GPU that is not back yet is waited for");
  translate(3);
  assertEquals((await next("result")).answer, expected);
  await answer({ type: "close" });
  for (const { device } of devices) device.destroy();
});

test("a device that has less memory than it was asked for is told before a weight is read", async () => {
  const opened = await openDevice(), { device } = opened;
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    if (descriptor.label === "kv 0") DISTURBANCES.memory(device);
    return createBuffer(descriptor);
  };
  const read = () => assert(false, "a block was read");
  const inside = { device: () => Promise.resolve({ opened, reason: undefined }) };
  const error = await assertRejects(() => loadEngine(options, read, inside), MoqeError);
  assertEquals(error.code, "unavailable");
  assertMatch(error.message, TOLD.memory);
  await device.lost;
});
