/** Languages as DeepL's clients write them: DE, PT-BR, ZH-HANS. */
import type { ModelInfo } from "../../engine/protocol.ts";
import { RequestError } from "../errors.ts";
import { describeLanguage, modelLanguage, sideOf } from "../languages.ts";

/** DeepL's code of a language. */
export function deeplCode(flores: string): string {
  return describeLanguage(flores).code.toUpperCase();
}

/** DeepL's codes of one side of the trained pairs, in order. */
export function deeplCodes(info: ModelInfo, side: "source" | "target"): string[] {
  return sideOf(info, side).map(deeplCode).sort();
}

/** A language that the model has on a side. Throws RequestError 400 that names the parameter and what there is. */
export function readLanguage(
  code: string | undefined,
  side: "source" | "target",
  info: ModelInfo,
): string {
  const name = `${side}_lang`;
  if (code === undefined) throw new RequestError(400, `Parameter '${name}' not specified.`);
  const flores = modelLanguage(code, info);
  if (flores !== undefined && sideOf(info, side).includes(flores)) return flores;
  throw new RequestError(
    400,
    `Value for '${name}' not supported: "${code.slice(0, 40)}". Supported: ${
      deeplCodes(info, side).join(", ")
    }.`,
  );
}
