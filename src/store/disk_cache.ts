/**
 * A folder of blocks, each a file named by its sha256, that several processes share. A block is written under another
 * name and renamed when whole; whoever reads one checks its hash. The size is bounded by an account in the folder,
 * changed under a lock: what a killed process left of it is counted again at the next clearing.
 */
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";

/** A block in the folder. */
export interface DiskEntry {
  readonly sha256: string;
  readonly bytes: number;
  /** Last use, to within a minute. */
  readonly usedAt: Date;
}

/** File operations that can fail for want of space or rights; tests put their own in place. */
export interface DiskIo {
  /** Writes a new file whole. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
}

const BLOCK = /^[0-9a-f]{64}$/;
const LOCK = "lock";
const TEMPORARY = "tmp";
/** A clearing goes down to this share of the budget, so that not every block needs one. */
const CLEAR_TO = 0.95;
/** Uses are written to the file's time at most this often. */
const TOUCH_AFTER_MS = 60_000;
/** A temporary file this old belongs to nobody alive. */
const STALE_MS = 10 * 60_000;

export class DiskCache {
  private constructor(
    readonly folder: string,
    readonly budgetBytes: number,
    private readonly io: DiskIo,
  ) {}

  /**
   * Opens a folder, made if it is not there. The account is counted anew.
   *
   * @throws MoqeError `unavailable` where the folder cannot be made or written to
   */
  static async open(
    folder: string,
    budgetBytes: number,
    io: DiskIo = { writeFile: (path, bytes) => Deno.writeFile(path, bytes) },
  ): Promise<DiskCache> {
    const cache = new DiskCache(folder, budgetBytes, io);
    try {
      await Deno.mkdir(`${folder}/${TEMPORARY}`, { recursive: true });
      await cache.#locked(async (lock) => await setUsage(lock, await cache.#clear(budgetBytes)));
    } catch (cause) {
      throw unusable(folder, cause);
    }
    return cache;
  }

  /** A block's bytes as they lie there, unverified; undefined where it has none of that length. */
  async read(sha256: string, length: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const path = this.#path(sha256);
    try {
      using file = await Deno.open(path);
      const { size, mtime } = await file.stat();
      if (size !== length) return undefined;
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length;) {
        const n = await file.read(bytes.subarray(at));
        if (n === null) return undefined;
        at += n;
      }
      const now = new Date();
      if (now.getTime() - (mtime?.getTime() ?? 0) > TOUCH_AFTER_MS) {
        await file.utime(now, now).catch(() => {});
      }
      return bytes;
    } catch {
      return undefined;
    }
  }

  /** Whether a block is there with all its bytes. */
  async has(sha256: string, length: number): Promise<boolean> {
    return await this.#length(sha256) === length;
  }

  /**
   * Writes a block that was verified; what was used longest ago makes room. False for one that is larger than the
   * budget, or than what is being written at the same time leaves of it. Throws what the disk says; nothing half-written
   * stays.
   */
  async write(sha256: string, bytes: Uint8Array): Promise<boolean> {
    if (bytes.length > this.budgetBytes) return false;
    const there = await this.#length(sha256);
    if (there === bytes.length) return true;
    // Cut short when the machine went down: no reader takes it, so that none would ever find it wrong.
    if (there !== undefined) await this.remove(sha256);
    // Its length is in its name: a clearing by another process counts what is only being written too.
    // Random behind that: in containers sharing a folder every process is number 1.
    const name = `${bytes.length}-${crypto.randomUUID()}`;
    const temporary = `${this.folder}/${TEMPORARY}/${name}`;
    const fits = await this.#locked(async (lock) => {
      let used = await usage(lock);
      if (used + bytes.length > this.budgetBytes) {
        used = await this.#clear(Math.floor(CLEAR_TO * this.budgetBytes) - bytes.length);
      }
      // What others are writing cannot be cleared.
      const fits = used + bytes.length <= this.budgetBytes;
      if (fits) await Deno.writeFile(temporary, new Uint8Array(0), { createNew: true });
      // Counted before it is there: whoever is killed between leaves too much on the account, never too little.
      await setUsage(lock, fits ? used + bytes.length : used);
      return fits;
    });
    if (!fits) return false;
    try {
      await this.io.writeFile(temporary, bytes);
      await Deno.mkdir(`${this.folder}/${sha256.slice(0, 2)}`, { recursive: true });
      await Deno.rename(temporary, this.#path(sha256));
      return true;
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      await this.#locked(async (lock) => await setUsage(lock, await usage(lock) - bytes.length))
        .catch(() => {});
      throw error;
    }
  }

  /** Removes a block, if it is there. */
  async remove(sha256: string): Promise<void> {
    const path = this.#path(sha256);
    const found = await Deno.stat(path).catch(() => undefined);
    if (found === undefined) return;
    await this.#locked(async (lock) => {
      if (await Deno.remove(path).then(() => true, () => false)) {
        await setUsage(lock, await usage(lock) - found.size);
      }
    }).catch(() => {});
  }

  /** Every block, the longest unused first. */
  async list(): Promise<DiskEntry[]> {
    return await listBlocks(this.folder);
  }

  /** Bytes of a block's file; undefined where there is none. */
  async #length(sha256: string): Promise<number | undefined> {
    return await Deno.stat(this.#path(sha256)).then(
      (s) => s.isFile ? s.size : undefined,
      () => undefined,
    );
  }

  #path(sha256: string): string {
    return `${this.folder}/${sha256.slice(0, 2)}/${sha256}`;
  }

  /** Removes blocks, the longest unused first, until at most `bytes` are left; answers how many are. */
  async #clear(bytes: number): Promise<number> {
    // In this order: what is renamed between the two is counted twice, never not at all.
    let left = await beingWritten(`${this.folder}/${TEMPORARY}`);
    const entries = await this.list();
    for (const e of entries) left += e.bytes;
    for (const e of entries) {
      if (left <= Math.max(0, bytes)) break;
      await Deno.remove(this.#path(e.sha256)).catch(() => {});
      left -= e.bytes;
    }
    return left;
  }

  async #locked<T>(work: (lock: Deno.FsFile) => Promise<T>): Promise<T> {
    const options = { read: true, write: true, create: true };
    using file = await Deno.open(`${this.folder}/${LOCK}`, options);
    await file.lock(true);
    try {
      return await work(file);
    } finally {
      await file.unlock();
    }
  }
}

/** Every block of a folder, the longest unused first; none where there is no such folder. */
export async function listBlocks(folder: string): Promise<DiskEntry[]> {
  const found: DiskEntry[] = [];
  for (const part of await names(folder)) {
    if (!/^[0-9a-f]{2}$/.test(part)) continue;
    for (const sha256 of await names(`${folder}/${part}`)) {
      if (!BLOCK.test(sha256)) continue;
      const info = await Deno.stat(`${folder}/${part}/${sha256}`).catch(() => undefined);
      if (info?.isFile) found.push({ sha256, bytes: info.size, usedAt: info.mtime ?? new Date(0) });
    }
  }
  return found.sort((a, b) => a.usedAt.getTime() - b.usedAt.getTime());
}

/** Where blocks are kept unless --disk-cache-dir says otherwise. */
export function defaultCacheFolder(environment: (name: string) => string | undefined): string {
  const base = environment("XDG_CACHE_HOME") || `${environment("HOME") || "."}/.cache`;
  return `${base}/moqe`;
}

/** One line about a size and its budget. */
export function budgetText(bytes: number, budgetBytes: number): string {
  return `${formatBytes(bytes)} of ${formatBytes(budgetBytes)}`;
}

/** The account: bytes of all blocks, in decimal. An account that cannot be read counts as full, and is counted anew. */
async function usage(lock: Deno.FsFile): Promise<number> {
  const text = new Uint8Array(32);
  await lock.seek(0, Deno.SeekMode.Start);
  const n = await lock.read(text);
  const value = Number(new TextDecoder().decode(text.subarray(0, n ?? 0)) || NaN);
  return Number.isSafeInteger(value) && value >= 0 ? value : Number.MAX_SAFE_INTEGER / 2;
}

async function setUsage(lock: Deno.FsFile, bytes: number): Promise<void> {
  await lock.truncate(0);
  await lock.seek(0, Deno.SeekMode.Start);
  await lock.write(new TextEncoder().encode(String(Math.max(0, bytes))));
}

/** Bytes of blocks that are being written by anybody; what a killed process left is removed. */
async function beingWritten(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await names(folder)) {
    const path = `${folder}/${name}`;
    const info = await Deno.stat(path).catch(() => undefined);
    if (info === undefined) continue;
    const age = Date.now() - (info.mtime?.getTime() ?? Date.now());
    if (age > STALE_MS) await Deno.remove(path).catch(() => {});
    else bytes += Number.parseInt(name) || 0;
  }
  return bytes;
}

function unusable(folder: string, cause: unknown): MoqeError {
  return cause instanceof MoqeError ? cause : new MoqeError("unavailable", {
    action: `use ${folder} as a disk cache`,
    rule: (cause as Error).message,
    remedy: "name another folder: --disk-cache-dir",
    cause,
  });
}

async function names(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map((e) => e.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw unusable(folder, error);
  }
}
