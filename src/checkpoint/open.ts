/** Opens a checkpoint by its address. */
import { MoqeError } from "../base/errors.ts";
import type { Checkpoint, Folder } from "./contract.ts";
import { DiskFolder } from "./disk_folder.ts";
import { filePath } from "../store/open.ts";
import { s3Place } from "../store/s3_address.ts";
import { HttpFolder } from "./http_folder.ts";
import { openTensors } from "./tensor_source.ts";
import { readTexts } from "./texts.ts";

/**
 * Opens a Hugging Face folder: a path, a file: URL, an http(s) base URL, or s3://bucket/prefix. Headers and texts are read and
 * checked; weights are not. The caller closes `weights`.
 */
export async function openCheckpoint(address: string): Promise<Checkpoint> {
  const folder = await openFolder(address);
  try {
    return { texts: await readTexts(folder), weights: await openTensors(folder) };
  } catch (error) {
    folder.close();
    throw error;
  }
}

async function openFolder(address: string): Promise<Folder> {
  if (/^s3:/i.test(address)) {
    const { base, http } = s3Place(address);
    return new HttpFolder(base, http);
  }
  if (/^https?:/i.test(address)) return new HttpFolder(new URL(address));
  const path = /^file:/i.test(address) ? filePath(address) : address;
  await refuseFile(path);
  return new DiskFolder(path.replace(/(?<=.)\/+$/, ""));
}

/** What is not there at all is said by the first file that is missing. */
async function refuseFile(path: string): Promise<void> {
  if (!await Deno.stat(path).then((s) => s.isFile, () => false)) return;
  throw new MoqeError("bad_input", {
    action: `open the checkpoint ${path}`,
    rule: "it is a file, and must be a folder with config.json, tokenizer.json and the weights",
    remedy: "give the folder that the file is in",
  });
}
