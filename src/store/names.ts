/** Names that a store will look up: content names and the manifest, so that no manifest can name a path. */
import { MoqeError } from "../base/errors.ts";
import { MANIFEST_NAME } from "./manifest.ts";

const CONTENT_NAME = /^[0-9a-f]{64}\.(moqe|json)$/;

/** Names beside the content names. */
const NAMED = [MANIFEST_NAME, "profiles.json"];

/** Throws MoqeError `corrupt` unless `name` is a content name, manifest.json or profiles.json. */
export function checkObjectName(name: string): void {
  if (NAMED.includes(name) || CONTENT_NAME.test(name)) return;
  throw new MoqeError("corrupt", {
    action: "read an object",
    rule: "objects are named by their sha256 (and .moqe or .json), without a directory",
    observed: JSON.stringify(name.slice(0, 100)),
    remedy: "the manifest is not one that moqe wrote",
  });
}

/** Throws RangeError unless `name` is a note's: the program's own, never from a file. */
export function checkNoteName(name: string): void {
  if (!/^\.moqe-[a-z-]+\.jsonl$/.test(name)) throw new RangeError(`"${name}" is no note's name`);
}

/** Throws MoqeError `corrupt` unless the range is of whole, safe numbers. */
export function checkRange(name: string, offset: number, length: number): void {
  const end = offset + length;
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(end) && offset >= 0 && length > 0) {
    return;
  }
  throw new MoqeError("corrupt", {
    action: `read ${name}`,
    rule: "a range starts at 0 or later and is not empty",
    observed: `offset ${offset}, length ${length}`,
  });
}
