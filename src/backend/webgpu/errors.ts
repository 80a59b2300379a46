/** What a device reports of itself, caught before a result that it spoilt can be used. */
import { MoqeError } from "../../base/errors.ts";

const FILTERS: readonly GPUErrorFilter[] = ["validation", "out-of-memory", "internal"];

const REMAKE = "the model must be loaded anew";
/** A lost device says so some turns of the event loop after it first refused something. */
const LOSS_MS = 100;

/**
 * Error scopes around everything between two readbacks. The runtime reports errors outside of scopes only when the
 * event loop turns, a scope's as soon as it is closed: so a readback closes them before it returns its bytes.
 */
export class DeviceErrors {
  #failure: MoqeError | undefined;
  readonly #gone = Promise.withResolvers<MoqeError>();
  #open = false;
  #closing = false;

  constructor(readonly device: GPUDevice) {
    device.lost.then((info) => {
      if (this.#closing) return;
      this.#fail({ rule: "the device was lost", observed: `${info.reason}: ${info.message}` });
    });
    device.addEventListener("uncapturederror", this.#uncaptured);
    this.#push();
  }

  readonly #uncaptured = (event: Event) => {
    event.preventDefault();
    this.#note((event as GPUUncapturedErrorEvent).error);
  };

  /** Why the device can no longer be used, if it cannot. It stays so. */
  get failure(): MoqeError | undefined {
    return this.#failure;
  }

  /** Resolves with why the device can no longer be used. */
  get gone(): Promise<MoqeError> {
    return this.#gone.promise;
  }

  /** Throws why the device can no longer be used. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #push(): void {
    for (const filter of FILTERS) this.device.pushErrorScope(filter);
    this.#open = true;
  }

  /** Waits for the errors of everything done so far and throws the first. */
  async settle(): Promise<void> {
    if (this.#open) {
      this.#open = false;
      const found = FILTERS.map(() => this.device.popErrorScope());
      this.#push();
      for (const error of await Promise.all(found)) if (error !== null) this.#note(error);
    }
    this.check();
  }

  /** A mapping was refused, which has a reason: throws it, that of the device where it tells one. */
  async unmapped(cause: unknown): Promise<never> {
    await this.settle();
    await Promise.race([this.gone, new Promise((resolve) => setTimeout(resolve, LOSS_MS))]);
    this.#fail({ rule: "its memory could not be mapped", observed: String(cause) });
    throw this.#failure;
  }

  #note(error: GPUError): void {
    const exhausted = error instanceof GPUOutOfMemoryError;
    this.#fail({
      rule: exhausted ? "its memory is exhausted" : "the driver refused a command",
      observed: error.message.trim().split("\n")[0],
    }, exhausted ? `lower --gpu-memory; ${REMAKE}` : REMAKE);
  }

  #fail(what: { rule: string; observed?: string | undefined }, remedy = REMAKE): void {
    if (this.#failure !== undefined) return;
    this.#failure = new MoqeError("unavailable", { action: "use the GPU", ...what, remedy });
    this.#gone.resolve(this.#failure);
  }

  /** Stops listening: what happens to the device from here on is its owner's doing. */
  close(): void {
    this.#closing = true;
    this.device.removeEventListener("uncapturederror", this.#uncaptured);
    if (this.#open) { for (const _ of FILTERS) this.device.popErrorScope().catch(() => {}); }
    this.#open = false;
  }
}
