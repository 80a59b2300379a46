/** The bounded door: how many requests may be in the house at once, and whether it still lets any in. */
import { MoqeError } from "../base/errors.ts";

/** Counts requests in flight; one over the bound, or any while draining, is refused at once. */
export class Gate {
  #inFlight = 0;
  #draining = false;

  /** `maxRequests` bounds the bodies held in memory at once: maxRequests x maxBodyBytes. */
  constructor(readonly maxRequests: number) {}

  get inFlight(): number {
    return this.#inFlight;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** From now on everything new is refused; what is in goes on. */
  drain(): void {
    this.#draining = true;
  }

  /** Throws MoqeError while draining. */
  check(): void {
    if (!this.#draining) return;
    throw new MoqeError("unavailable", {
      action: "accept the request",
      rule: "the service is shutting down",
      remedy: "send it to another instance, or again later",
    }, { retryAfterSeconds: 5 });
  }

  /** Lets one request in; the caller calls the result exactly once when it is over. Throws MoqeError. */
  enter(): () => void {
    this.check();
    if (this.#inFlight >= this.maxRequests) {
      throw new MoqeError("overloaded", {
        action: "accept the request",
        rule: `${this.maxRequests} requests are in flight, which is the limit`,
        remedy: "try again shortly",
      }, { retryAfterSeconds: 1 });
    }
    return this.hold();
  }

  /** Counts work that was accepted earlier and has its own bound; the caller calls the result when it is over. */
  hold(): () => void {
    this.#inFlight++;
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#inFlight--;
    };
  }
}
