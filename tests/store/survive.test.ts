/** What a fetch survives: every way in which a store goes wrong, once and for ever, alone and together. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Ledger } from "../../src/base/ledger.ts";
import { StoreFetcher } from "../../src/store/fetcher.ts";
import { HttpStore } from "../../src/store/http_store.ts";
import { testObject } from "../support/blocks.ts";
import { type Fault, type HostileStore, hostileStore } from "../support/hostile_store.ts";

const COUNT = 40, LENGTH = 3000, BUDGET = 8 * LENGTH;
const objects = [0, 1].map((i) => testObject(COUNT, LENGTH, i));
const manifest = { objects: objects.map((o) => ({ name: o.name, bytes: o.bytes.length })) };
const files = Object.fromEntries(objects.map((o) => [o.name, o.bytes]));
const QUICK = { retryMs: 1, maxRetryMs: 3, timeoutMs: 150, attempts: 4 };
const open = (server: HostileStore, attempts = QUICK.attempts) =>
  new HttpStore(new URL(server.url), { ...QUICK, attempts });

const FAULTS: Record<string, Fault> = {
  truncated: { kind: "truncate" },
  reset: { kind: "reset" },
  slow: { kind: "slow", ms: 400 },
  stalled: { kind: "stall" },
  "503": { kind: "status", status: 503, retryAfter: "0.001" },
  "429": { kind: "status", status: 429, retryAfter: "0.001" },
  "500": { kind: "status", status: 500 },
  "404": { kind: "status", status: 404 },
  "403": { kind: "status", status: 403 },
  "flipped bit": { kind: "flip" },
  "too short": { kind: "short" },
  "too long": { kind: "long" },
  "another range": { kind: "wrong_range" },
  "no ranges": { kind: "ignore_range" },
  compressed: { kind: "gzip" },
  redirected: { kind: "redirect", to: "http://169.254.169.254/" },
};
/** Faults that are answers: a server is asked once more at most, past its caches. */
const ANSWERS = new Set(["404", "403", "another range", "no ranges", "compressed", "redirected"]);

/** Asks for every block, some of them twice, and counts how they end. No wrong byte may be among them. */
async function fetchAll(fetcher: StoreFetcher): Promise<{ right: number; refused: number }> {
  const ends = { right: 0, refused: 0 };
  const one = async (object: typeof objects[number], i: number) => {
    try {
      const block = await fetcher.fetch(object.refs[i]!);
      assertEquals(block.bytes, object.bytes.slice(i * LENGTH, (i + 1) * LENGTH));
      ends.right++;
      block.release();
    } catch (error) {
      if (!(error instanceof MoqeError)) throw error;
      assert(["unavailable", "corrupt"].includes(error.code), error.message);
      ends.refused++;
    }
  };
  await Promise.all(
    objects.flatMap((object) =>
      object.refs.flatMap((_, i) =>
        i % 3 === 0 ? [one(object, i), one(object, i)] : [one(object, i)]
      )
    ),
  );
  return ends;
}

/** A fetcher over a server; when it is done, every byte is off the ledger, and it was never over. */
async function over(
  server: HostileStore,
  use: (fetcher: StoreFetcher) => Promise<void>,
  mirrors: HttpStore[] = [],
): Promise<void> {
  const ledger = new Ledger({ gpuBytes: 0, hostBytes: BUDGET });
  const store = open(server, mirrors.length > 0 ? 2 : QUICK.attempts);
  const fetcher = new StoreFetcher(store, manifest, ledger, { mirrors, hedgeLeastMs: 20 });
  await use(fetcher);
  while (ledger.snapshot().host.usedBytes > 0) await new Promise((r) => setTimeout(r, 2));
  assert(ledger.snapshot().host.peakBytes <= BUDGET);
  await server.close();
}

const ASKED = 2 * (COUNT + Math.ceil(COUNT / 3));

for (const [name, fault] of Object.entries(FAULTS)) {
  Deno.test(`${name}, every fifth answer: right blocks or a clean error, no byte left on the ledger`, async () => {
    const server = hostileStore(files, (n) => n % 5 === 2 ? fault : { kind: "none" });
    await over(server, async (fetcher) => {
      const { right, refused } = await fetchAll(fetcher);
      assertEquals(right + refused, ASKED);
      if (ANSWERS.has(name)) assertGreater(right, refused);
      else assertEquals(refused, 0);
    });
  });

  Deno.test(`${name} from some moment on, with a mirror: every block is right`, async () => {
    const mirror = hostileStore(files);
    const server = hostileStore(files, (n) => n >= 3 ? fault : { kind: "none" });
    await over(server, async (fetcher) => {
      assertEquals(await fetchAll(fetcher), { right: ASKED, refused: 0 });
      assertGreater(fetcher.stats().fromMirrors, 0);
    }, [open(mirror)]);
    await mirror.close();
  });
}

Deno.test("all of them by chance, on the origin and on a mirror: never a wrong byte, never one left over", async () => {
  let state = 12345;
  const chance = () => (state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
  const kinds = Object.entries(FAULTS).filter(([n]) => !["slow", "stalled"].includes(n));
  const faultOf = (): Fault =>
    chance() < 0.4 ? kinds[Math.floor(chance() * kinds.length)]![1] : { kind: "none" };
  for (let round = 0; round < 5; round++) {
    const mirror = hostileStore(files, faultOf);
    await over(hostileStore(files, faultOf), async (fetcher) => {
      const { right, refused } = await fetchAll(fetcher);
      assertEquals(right + refused, ASKED);
      assertGreater(right, ASKED / 2);
    }, [open(mirror)]);
    await mirror.close();
  }
});

Deno.test("callers that leave at any moment leave nothing behind, and the others get their blocks", async () => {
  const server = hostileStore(
    files,
    (n) => n % 3 === 0 ? { kind: "slow", ms: 10 } : { kind: "none" },
  );
  await over(server, async (fetcher) => {
    const object = objects[0]!;
    await Promise.all(object.refs.flatMap((ref, i) => {
      const stop = new AbortController();
      const leaver = fetcher.fetch(ref, { signal: stop.signal }).then(
        (block) => block.release(),
        (error) => assertEquals(error.code, "cancelled"),
      );
      setTimeout(() => stop.abort(), i % 17);
      const stayer = i % 2 === 0 ? [] : [
        fetcher.fetch(ref).then((block) => {
          assertEquals(block.bytes, object.bytes.slice(i * LENGTH, (i + 1) * LENGTH));
          block.release();
        }),
      ];
      return [leaver, ...stayer];
    }));
    assertGreater(fetcher.stats().cancelled, 0);
  });
});
