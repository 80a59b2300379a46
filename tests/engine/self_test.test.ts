import { assertEquals } from "@std/assert";
import type { Backend, LinearOp } from "../../src/backend/contract.ts";
import { batchInvariant } from "../../src/engine/self_test.ts";
import { goldenFolder } from "../support/golden.ts";
import { withModel } from "../support/model.ts";

const WIDTHS = { experts: { bits: 2 }, trunk: { bits: 8 }, embedding: { bits: 8 } } as const;

Deno.test("the self-test passes here, and catches a device whose rows depend on their company", async () => {
  await withModel(goldenFolder("baseline"), WIDTHS, async (m) => {
    assertEquals(await batchInvariant(m.backend, m.model.probe), true);
    // A real backend whose batches of several rows lose the last bit of each value.
    const careless: Backend = Object.create(m.backend, {
      linear: {
        value(op: LinearOp) {
          m.backend.linear(op);
          if (op.x.rows === 1) return;
          m.backend.write(op.out.buffer, op.out.offset, Uint8Array.of(1, 2, 3));
        },
      },
      readback: { value: m.backend.readback.bind(m.backend) },
      write: { value: m.backend.write.bind(m.backend) },
    });
    assertEquals(await batchInvariant(careless, m.model.probe), false);
  });
});
