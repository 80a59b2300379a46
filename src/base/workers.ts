/** Workers in the source tree and in a one-file bundle, where one file is all of them and its name tells which. */

/** Set to true by the bundler (deploy/build.ts). */
declare const MOQE_BUNDLE: boolean | undefined;

/** Address to start a Worker from: `module` beside the caller's `own` file, or that very file in a bundle. */
export function workerUrl(module: string, own: string): string {
  const bundled = typeof MOQE_BUNDLE !== "undefined" && MOQE_BUNDLE;
  return bundled ? own : new URL(module, own).href;
}

/** True in a Worker that was started under this name, whichever file it was started from. */
export function isWorkerNamed(name: string): boolean {
  const scope = globalThis as { name?: string; WorkerGlobalScope?: unknown };
  return scope.WorkerGlobalScope !== undefined && scope.name === name;
}

/** True where a Worker can start from this address: the host has Workers and may read the file. */
export function canStartWorker(url: string): boolean {
  if (typeof Worker === "undefined") return false;
  if (!url.startsWith("file:")) return true;
  // Asked before, since a refusal comes only as an error event of the Worker.
  return Deno.permissions.querySync({ name: "read", path: new URL(url) }).state === "granted";
}
