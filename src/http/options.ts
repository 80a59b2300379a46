/** What the HTTP application is given besides the engine. */
import type { Logger } from "../base/log.ts";
import type { Gate } from "./gate.ts";

/** Limits of one request and of all that are in flight. */
export interface HttpLimits {
  /** Bytes of a request's body; more is 413. */
  readonly maxBodyBytes: number;
  /** Texts of one request; more is 400 in LibreTranslate's words. */
  readonly maxTexts: number;
  /** Characters (code points) of one text; more is 400 in LibreTranslate's words. */
  readonly maxChars: number;
}

/** Search settings of a request that names none. */
export interface SearchDefaults {
  readonly beams: number;
  readonly lengthPenalty: number;
  readonly maxTokens: number;
}

/** Settings of `createApp`. */
export interface HttpOptions {
  readonly limits: HttpLimits;
  readonly defaults: SearchDefaults;
  readonly gate: Gate;
  readonly log: Logger;
}

/** Variables that middleware leaves for handlers and for the access log. */
export interface HttpEnv {
  Variables: {
    requestId: string;
    /** Numbers about the request for its log line; never its text. */
    facts: Record<string, number | string>;
  };
}
