/** What the HTTP application is given besides the engine. */
import type { Span } from "@opentelemetry/api";
import type { Logger } from "../base/log.ts";
import type { Access, Client } from "./access/access.ts";
import type { TrustedProxies } from "./access/address.ts";
import type { GlossaryStore } from "./deepl/glossary_store.ts";
import type { DocumentDesk } from "./documents/desk.ts";
import type { Fields } from "./fields.ts";
import type { Gate } from "./gate.ts";

/** Limits of one request and of all that are in flight. */
export interface HttpLimits {
  /** Bytes of a request's body; more is 413. */
  readonly maxBodyBytes: number;
  /** Texts of one request; more is 400 in LibreTranslate's words. */
  readonly maxTexts: number;
  /** Characters (code points) of one text; more is 400 in LibreTranslate's words. */
  readonly maxChars: number;
  /** Time for a request's body to arrive, then 408. */
  readonly bodyTimeoutMs?: number | undefined;
  /** Time for the translations of one request; then 504. Documents, which nobody waits for, have none. */
  readonly requestTimeoutMs?: number | undefined;
}

/** Search settings of a request that names none. */
export interface SearchDefaults {
  readonly beams: number;
  readonly lengthPenalty: number;
  readonly maxTokens: number;
}

/** Where /metrics and its neighbours are: for everybody, for keys of scope admin, or on a port of their own. */
export type AdminDoor = "open" | "key" | "apart";

/** Settings of `createApp`. */
export interface HttpOptions {
  readonly limits: HttpLimits;
  readonly defaults: SearchDefaults;
  readonly gate: Gate;
  readonly log: Logger;
  readonly access: Access;
  readonly proxies: TrustedProxies;
  /** Origins whose pages may call the service from a browser; "*" is every one. */
  readonly corsOrigins: readonly string[];
  readonly admin: AdminDoor;
  readonly glossaries: GlossaryStore;
  readonly desk: DocumentDesk;
  /** How many documents may be on their way in at once. */
  readonly uploads: Gate;
  /** False where languages are not detected: its tables take memory. */
  readonly detection: boolean;
}

/** Variables that middleware leaves for handlers and for the access log. */
export interface HttpEnv {
  Bindings: {
    /** Address of whoever holds the other end of the connection. */
    peer?: string;
    /** The request's span, where telemetry is on. */
    span?: Span | undefined;
  };
  Variables: {
    requestId: string;
    /** Numbers about the request for its log line; never its text. */
    facts: Record<string, number | string>;
    /** What the request holds, on routes that read it. */
    fields: Fields;
    /** Who asks, on routes that need to know. */
    client: Client;
    /** Gives the request's place in the gate back. */
    leave: () => void;
    /** True where the answer is a stream that calls `leave` itself. */
    streams: boolean;
  };
}
