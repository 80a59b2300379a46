/** Errors on their way between the engine and whoever asked it. */
import { errorCode, errorText, MoqeError } from "../base/errors.ts";
import type { WireError } from "./protocol.ts";

/** An error made ready to cross the thread; its cause stays behind. */
export function toWire(error: unknown): WireError {
  if (error instanceof MoqeError) {
    const { action, rule, observed, remedy, leastMiB } = error.parts;
    return {
      code: error.code,
      parts: { action, rule, observed, remedy, leastMiB },
      retryAfterSeconds: error.retryAfterSeconds,
    };
  }
  return { code: errorCode(error), parts: { action: "run the engine", rule: errorText(error) } };
}

/** The error on the other side. */
export function fromWire(wire: WireError): MoqeError {
  const retry = wire.retryAfterSeconds;
  return new MoqeError(
    wire.code,
    wire.parts,
    retry === undefined ? {} : { retryAfterSeconds: retry },
  );
}
