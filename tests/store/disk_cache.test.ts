/** The disk cache: kills, several processes, full disks, rot, and the host budget. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { reserveRequest } from "../../src/engine/host_budget.ts";
import {
  defaultCacheFolder,
  DiskCache,
  type DiskIo,
  listBlocks,
} from "../../src/store/disk_cache.ts";
import { DiskTier } from "../../src/store/disk_tier.ts";
import { sha256 } from "../support/blocks.ts";
import { behind, block, LENGTH, object, read, ref } from "../support/tiered.ts";

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moqe-cache-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const quiet = { warn: () => {} };
/** Bytes of all blocks; under the lock, since a listing of a folder that changes may count both what went and what came. */
async function total(folder: string): Promise<number> {
  using lock = await Deno.open(`${folder}/lock`, { read: true, write: true });
  await lock.lock(true);
  return (await listBlocks(folder)).reduce((sum, e) => sum + e.bytes, 0);
}

Deno.test("the cache lies where the environment says; a variable that is empty says nothing", () => {
  const folder = (env: Record<string, string>) => defaultCacheFolder((name) => env[name]);
  assertEquals(folder({ XDG_CACHE_HOME: "/x", HOME: "/h" }), "/x/moqe");
  assertEquals(folder({ HOME: "/h" }), "/h/.cache/moqe");
  assertEquals(folder({ XDG_CACHE_HOME: "", HOME: "/h" }), "/h/.cache/moqe");
  assertEquals(folder({ XDG_CACHE_HOME: "", HOME: "" }), "./.cache/moqe");
});

Deno.test("what was read once comes from the disk, also after a restart", async () => {
  await inFolder(async (folder) => {
    const first = new DiskTier(await DiskCache.open(folder, 1e6), quiet);
    await behind(() => [first], async (fetcher, requests) => {
      for (const i of [0, 3, 7]) await read(fetcher, i);
      await first.close();
      assertEquals([requests(), first.stats().writtenBlocks], [3, 3]);
    });
    const second = new DiskTier(await DiskCache.open(folder, 1e6), quiet);
    await behind(() => [second], async (fetcher, requests, ledger) => {
      for (const i of [0, 3, 7]) await read(fetcher, i);
      assertEquals([requests(), fetcher.stats().fromTiers.disk, second.stats().hits], [0, 3, 3]);
      assertEquals(ledger.snapshot().host.usedBytes, 0, "no byte is left on the ledger");
    });
  });
});

Deno.test("a flipped bit or a cut file on the disk is refused, removed and read again from the origin", async () => {
  await inFolder(async (folder) => {
    const cache = await DiskCache.open(folder, 1e6);
    const path = (i: number) => `${folder}/${ref(i).sha256.slice(0, 2)}/${ref(i).sha256}`;
    for (const i of [1, 2]) await cache.write(ref(i).sha256, block(i));
    const rotten = block(1);
    rotten[LENGTH - 1]! ^= 1;
    await Deno.writeFile(path(1), rotten);
    await Deno.truncate(path(2), LENGTH - 1);
    // However long the wrong one's removal takes.
    const remove = cache.remove.bind(cache);
    cache.remove = async (sha256) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await remove(sha256);
    };
    const tier = new DiskTier(cache, quiet);
    await behind(() => [tier], async (fetcher, requests) => {
      await read(fetcher, 1);
      await read(fetcher, 2);
      assertEquals([requests(), fetcher.stats().refused, tier.stats().dropped], [2, 1, 1]);
      await tier.idle();
      for (const i of [1, 2]) await read(fetcher, i);
      assertEquals(requests(), 2, "the right bytes took their place");
    });
  });
});

Deno.test("the budget holds, and what was used longest ago makes room", async () => {
  await inFolder(async (folder) => {
    const cache = await DiskCache.open(folder, 5 * LENGTH);
    for (let i = 0; i < 4; i++) {
      await cache.write(ref(i).sha256, block(i));
      const at = new Date(Date.now() - 1e6 + i * 1000);
      await Deno.utime(`${folder}/${ref(i).sha256.slice(0, 2)}/${ref(i).sha256}`, at, at);
    }
    assert(await cache.read(ref(0).sha256, LENGTH) !== undefined);
    for (let i = 4; i < 7; i++) await cache.write(ref(i).sha256, block(i));
    assert(await total(folder) <= 5 * LENGTH);
    assert(await cache.has(ref(0).sha256, LENGTH), "it was just used");
    assert(!await cache.has(ref(1).sha256, LENGTH), "it was not");
    assertEquals(await cache.write(sha256(object.bytes), object.bytes), false, "over the budget");
    const smaller = await DiskCache.open(folder, 2 * LENGTH);
    assert(await total(folder) <= 2 * LENGTH, "a smaller budget clears at once");
    await smaller.remove(ref(6).sha256);
    assert(!await smaller.has(ref(6).sha256, LENGTH));
  });
});

Deno.test("two processes share a folder, one is killed at any moment: every block is whole, the budget holds", async () => {
  await inFolder(async (folder) => {
    const budget = 1_500_000;
    const script = new URL("../support/cache_writer.ts", import.meta.url).pathname;
    const start = (seed: number) =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", script, folder, String(budget), String(seed)],
        stdout: "piped",
        stderr: "null",
      }).spawn();
    const ready = async (child: Deno.ChildProcess) => {
      const reader = child.stdout.getReader();
      await reader.read();
      await reader.cancel();
    };
    const stays = start(1);
    try {
      await ready(stays);
      for (let round = 0; round < 3; round++) {
        const killed = start(2 + round);
        await ready(killed);
        await new Promise((resolve) => setTimeout(resolve, 40 + 53 * round));
        killed.kill("SIGKILL");
        await killed.status;
        assert(await total(folder) <= budget, "the budget holds while both write");
      }
    } finally {
      stays.kill("SIGKILL");
      await stays.status;
    }
    const blocks = await listBlocks(folder);
    assert(blocks.length > 5);
    for (const { sha256: name } of blocks) {
      const bytes = await Deno.readFile(`${folder}/${name.slice(0, 2)}/${name}`);
      assertEquals(sha256(bytes), name, "a block is there whole or not at all");
    }
    const cache = await DiskCache.open(folder, budget);
    await cache.write(ref(0).sha256, block(0));
    assert(await total(folder) <= budget);
  });
});

Deno.test("a disk that fails costs its warnings and nothing else, and is tried again later", async () => {
  await inFolder(async (folder) => {
    let full = true;
    const io: DiskIo = {
      async writeFile(path, bytes) {
        await Deno.writeFile(path, full ? bytes.subarray(0, 1000) : bytes);
        if (full) throw new Error("No space left on device (os error 28)");
      },
    };
    const warnings: string[] = [];
    let now = 0;
    const log = { warn: (message: string) => void warnings.push(message) };
    const tier = new DiskTier(await DiskCache.open(folder, 1e6, io), log, () => now);
    await behind(() => [tier], async (fetcher, requests, ledger) => {
      for (const i of [0, 1, 2, 3]) await read(fetcher, i);
      await tier.idle();
      assertEquals([warnings.length, (await listBlocks(folder)).length], [1, 0]);
      assertEquals(await Array.fromAsync(Deno.readDir(`${folder}/tmp`)), [], "no half block");
      full = false;
      await read(fetcher, 4);
      await tier.idle();
      assertEquals((await listBlocks(folder)).length, 0, "it rests");
      now += 61_000;
      await read(fetcher, 4);
      await tier.idle();
      assertEquals((await listBlocks(folder)).length, 1);
      assertEquals(requests(), 6);
      assertEquals(ledger.snapshot().host.usedBytes, 0);
    });
    const file = await Deno.makeTempFile();
    const error = await assertRejects(() => DiskCache.open(`${file}/x`, 1e6), MoqeError);
    assertEquals(error.code, "unavailable");
    await Deno.remove(file);
  });
});

Deno.test("two processes of one number, as in containers, write blocks of one length", async () => {
  await inFolder(async (folder) => {
    const io: DiskIo = {
      async writeFile(path, bytes) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        await Deno.writeFile(path, bytes);
      },
    };
    const caches = [await DiskCache.open(folder, 1e9, io), await DiskCache.open(folder, 1e9, io)];
    await Promise.all(caches.map((c, i) => c.write(ref(i).sha256, block(i))));
    assertEquals(await total(folder), 2 * LENGTH);
    assertEquals(Number(await Deno.readTextFile(`${folder}/lock`)), 2 * LENGTH);
  });
});

Deno.test("the budget holds while more is being written at once than fits", async () => {
  await inFolder(async (folder) => {
    // The disk is held until each of the four is either being written or refused: a write that ends sooner makes room.
    const go = Promise.withResolvers<void>();
    let decided = 0;
    const decide = () => ++decided === 4 && go.resolve();
    const slow: DiskIo = {
      writeFile(path, bytes) {
        decide();
        return go.promise.then(() => Deno.writeFile(path, bytes));
      },
    };
    const open = () => DiskCache.open(folder, 2.5 * LENGTH, slow);
    const two = [await open(), await open()];
    const written = await Promise.all([0, 1, 2, 3].map(async (i) => {
      const there = await two[i % 2]!.write(ref(i).sha256, block(i));
      if (!there) decide();
      return there;
    }));
    assertEquals(written.filter((there) => there).length, 2);
    assertEquals(await total(folder), 2 * LENGTH);
  });
});

Deno.test("requests are not refused for blocks that wait for a slow disk", async () => {
  await inFolder(async (folder) => {
    const written = Promise.withResolvers<void>();
    const cache = await DiskCache.open(folder, 1e9, { writeFile: () => written.promise });
    const tier = new DiskTier(cache, quiet);
    await behind(() => [tier], async (fetcher, _, ledger) => {
      for (let i = 0; i < 12; i++) await read(fetcher, i);
      assertEquals(ledger.left("host"), 0, "all that there is room for waits");
      reserveRequest(ledger, ["a text"], LENGTH).release();
      written.resolve();
      await tier.close();
      assertEquals(ledger.snapshot().host.usedBytes, 0);
    }, 8 * LENGTH);
  });
});

Deno.test("a real full disk: a file system smaller than the budget", async () => {
  await inFolder(async (folder) => {
    const mount = await new Deno.Command("mount", {
      args: ["-t", "tmpfs", "-o", "size=256k", "tmpfs", folder],
      stderr: "null",
    }).output().catch(() => undefined);
    if (!mount?.success) return console.log("no right to mount here: the injected failure stands");
    try {
      const warnings: string[] = [];
      const log = { warn: (message: string) => void warnings.push(message) };
      const tier = new DiskTier(await DiskCache.open(folder, 1e9), log);
      await behind(() => [tier], async (fetcher) => {
        for (let i = 0; i < 12; i++) {
          await read(fetcher, i);
          await tier.idle();
        }
        assertEquals(warnings.length, 1);
        for (const { sha256: name } of await listBlocks(folder)) {
          assertEquals(sha256(await Deno.readFile(`${folder}/${name.slice(0, 2)}/${name}`)), name);
        }
      });
    } finally {
      await new Deno.Command("umount", { args: [folder] }).output();
    }
  });
});
