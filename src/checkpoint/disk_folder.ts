/** A checkpoint's folder on a local disk. */
import { MoqeError } from "../base/errors.ts";
import { unlessMissing } from "../base/files.ts";
import type { Folder } from "./contract.ts";

/** Keeps the file read last open; reads are one at a time, since a handle has one position. */
export class DiskFolder implements Folder {
  readonly origin: string;
  #open: { name: string; file: Deno.FsFile } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(readonly path: string) {
    this.origin = path;
  }

  async stat(file: string): Promise<{ bytes: number; version: string } | undefined> {
    const info = await unlessMissing(Deno.stat(`${this.path}/${file}`));
    if (!info?.isFile) return undefined;
    return { bytes: info.size, version: String(info.mtime?.getTime()) };
  }

  read(
    file: string,
    offset: number,
    into: Uint8Array<ArrayBuffer>,
    signal?: AbortSignal,
  ): Promise<void> {
    const next = this.#turn.then(() => {
      signal?.throwIfAborted();
      return this.#fill(file, offset, into);
    });
    this.#turn = next.catch(() => {});
    return next;
  }

  close(): void {
    this.#open?.file.close();
    this.#open = undefined;
  }

  async #fill(name: string, offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#open?.name !== name) {
      this.close();
      this.#open = { name, file: await Deno.open(`${this.path}/${name}`) };
    }
    const { file } = this.#open;
    await file.seek(offset, Deno.SeekMode.Start);
    for (let at = 0; at < into.length;) {
      const n = await file.read(into.subarray(at));
      if (n === null) {
        throw new MoqeError("corrupt", {
          action: `read ${into.length} bytes at ${offset} of ${this.path}/${name}`,
          rule: `the file ended after ${at} of them`,
          remedy: "download or save the checkpoint again",
        });
      }
      at += n;
    }
  }
}
