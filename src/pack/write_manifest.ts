/** The last thing that a pack writes: what names all else. */
import type { WritableStore } from "../store/contract.ts";
import { type Manifest, MANIFEST_NAME, parseManifest } from "../store/manifest.ts";
import { asAsync, sha256Hex } from "./object_writer.ts";

/** Checks the manifest as its readers will, then writes it. Answers its sha256. */
export async function writeManifest(out: WritableStore, manifest: Manifest): Promise<string> {
  const text = `${JSON.stringify(manifest)}\n`;
  parseManifest(text, "the model just packed");
  const bytes = new TextEncoder().encode(text);
  await out.write(MANIFEST_NAME, asAsync(() => [bytes]));
  return sha256Hex(bytes);
}
