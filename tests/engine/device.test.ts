/** Which device a model gets. */
import { assert, assertEquals } from "@std/assert";
import { Ledger } from "../../src/base/ledger.ts";
import { chooseDevice, createBackend } from "../../src/engine/device.ts";
import { testNeeding } from "../support/needs.ts";

const test = testNeeding("vulkan");

Deno.test("auto takes a real GPU, else the CPU, and says why", async () => {
  const chosen = await chooseDevice("auto"),
    ledger = new Ledger({ gpuBytes: 2 ** 24, hostBytes: 0 });
  const { backend, description } = await createBackend(chosen, ledger, 1);
  if (chosen.opened === undefined) {
    assertEquals(backend.name, "cpu");
    assert(description.includes("(no GPU: "), description);
  } else {
    assert(!chosen.opened.isFallback);
    assertEquals([backend.name, chosen.reason], ["webgpu", undefined]);
  }
  backend.close();
});

test("webgpu takes any adapter, cpu none, and neither explains itself", async () => {
  const ledger = new Ledger({ gpuBytes: 2 ** 24, hostBytes: 0 });
  for (const name of ["webgpu", "cpu"] as const) {
    const { backend, description } = await createBackend(await chooseDevice(name), ledger, 1);
    assertEquals([backend.name, description], [name, backend.description]);
    backend.close();
  }
  assertEquals(ledger.snapshot().gpu.usedBytes, 0);
});
