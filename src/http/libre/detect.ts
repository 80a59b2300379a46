/** POST /detect in LibreTranslate's shape. */
import { Hono } from "hono";
import { detectLanguage } from "../../text/detect.ts";
import { checkDetection } from "../detection.ts";
import { doors } from "../doors.ts";
import { methodNotAllowed, RequestError } from "../errors.ts";
import { textField } from "../fields.ts";
import type { HttpEnv, HttpOptions } from "../options.ts";
import { checkTexts } from "../search.ts";

/** Most guesses of one text. */
const GUESSES = 3;

/** The route behind its doors. */
export function detectRoutes(options: HttpOptions): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .post("/detect", ...doors(options, "translate"), async (c) => {
      const text = textField(c.get("fields"), "q");
      if (text === undefined) throw new RequestError(400, "Invalid request: missing q parameter");
      checkDetection(options);
      checkTexts([text], options.limits);
      const guesses = await detectLanguage(text);
      return c.json(
        guesses.slice(0, GUESSES).map(({ code, confidence }) => ({
          confidence: Math.round(100 * confidence),
          language: code,
        })),
      );
    })
    .all("/detect", methodNotAllowed("POST"));
}
