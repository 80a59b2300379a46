/** POST /translate in LibreTranslate's shape. */
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { MiddlewareHandler } from "hono";
import type { Engine, ModelInfo, TranslateParams, Translation } from "../engine/protocol.ts";
import { errorResponse, methodNotAllowed } from "./errors.ts";
import type { Gate } from "./gate.ts";
import { resolvePair } from "./languages.ts";
import type { HttpEnv, HttpOptions } from "./options.ts";
import { loadedModel } from "./ready.ts";
import { MAX_BEAMS, readTranslateInput, type TranslateInput } from "./translate_input.ts";

/** The route behind its door: the gate comes first, so that bodies in memory are bounded too. */
export function translateRoutes(engine: Engine, options: HttpOptions): Hono<HttpEnv> {
  const { maxBodyBytes } = options.limits;
  const bounded = bodyLimit({
    maxSize: maxBodyBytes,
    onError: (c) =>
      errorResponse(
        c as Context<HttpEnv>,
        413,
        `Invalid request: the body exceeds ${maxBodyBytes} bytes`,
      ),
  });
  return new Hono<HttpEnv>()
    .post("/translate", through(options.gate), bounded, (c) => translate(c, engine, options))
    .all("/translate", methodNotAllowed("POST"));
}

/** Holds a place of the gate while the request runs. */
function through(gate: Gate): MiddlewareHandler<HttpEnv> {
  return async (_, next) => {
    const leave = gate.enter();
    try {
      await next();
    } finally {
      leave();
    }
  };
}

async function translate(
  c: Context<HttpEnv>,
  engine: Engine,
  options: HttpOptions,
): Promise<Response> {
  const info = loadedModel(engine);
  const input = await readTranslateInput(c, options.limits);
  const pair = resolvePair(input, info);
  const params = { ...pair, ...searchParams(input, info, options) };
  Object.assign(c.get("facts"), { ...pair, texts: input.texts.length, beams: params.beams });
  const translations = await engine.translate(params, { signal: c.req.raw.signal });
  Object.assign(c.get("facts"), {
    sourceTokens: sum(translations, (t) => t.sourceTokens),
    targetTokens: sum(translations, (t) => t.targetTokens),
  });
  return c.json(answer(input, translations));
}

/** The request's own settings, else the service's; a beam is widened for the alternatives asked for. */
function searchParams(
  input: TranslateInput,
  info: ModelInfo,
  { defaults }: HttpOptions,
): Omit<TranslateParams, "source" | "target"> {
  const widened = Math.min(MAX_BEAMS, Math.max(defaults.beams, input.alternatives + 1));
  return {
    texts: input.texts,
    beams: input.beams ?? widened,
    lengthPenalty: input.lengthPenalty ?? defaults.lengthPenalty,
    maxTokens: Math.min(input.maxTokens ?? defaults.maxTokens, info.limits.maxTargetTokens),
    alternatives: input.alternatives,
  };
}

/** An array for a batch, a string for one text; alternatives only where they were asked for. */
function answer(input: TranslateInput, translations: Translation[]): Record<string, unknown> {
  const texts = translations.map((t) => t.text);
  const body: Record<string, unknown> = { translatedText: input.batch ? texts : texts[0] };
  if (input.alternatives > 0) {
    const others = translations.map((t) => t.alternatives);
    body["alternatives"] = input.batch ? others : others[0];
  }
  return body;
}

function sum(translations: Translation[], tokens: (t: Translation) => number): number {
  return translations.reduce((total, t) => total + tokens(t), 0);
}
