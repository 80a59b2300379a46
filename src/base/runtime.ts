/** The versions that moqe was tested with, and whether this process runs on them. */

/** moqe's own version. */
export const VERSION = "0.1.0";

/** The Deno that every test ran on. */
export const PINNED_DENO = "2.9.6";

/** What the running Deno allows. */
export interface Runtime {
  readonly deno: string;
  /** Another Deno than the pinned one: paths that depend on a version's behaviour are not taken. */
  readonly safePaths: boolean;
  /** One line for the user, once, where safePaths is true. */
  readonly warning: string | undefined;
}

/** Compares a Deno version with the pinned one. Another one is not refused: it warns and takes the safe paths. */
export function checkRuntime(deno: string = Deno.version.deno): Runtime {
  const safePaths = deno !== PINNED_DENO;
  return {
    deno,
    safePaths,
    warning: safePaths
      ? `moqe is tested on Deno ${PINNED_DENO} and this is ${deno}: taking the safe paths ` +
        `(npx -y deno@${PINNED_DENO} runs the tested one)`
      : undefined,
  };
}
