/** Languages as DeepL's clients write them: DE, PT-BR, ZH-HANS. */
import type { ModelInfo } from "../../engine/protocol.ts";
import { RequestError } from "../errors.ts";
import { describeLanguage, modelLanguage, sideOf } from "../languages.ts";

/** DeepL's code of a language. */
export function deeplCode(flores: string): string {
  return describeLanguage(flores).code.toUpperCase();
}

/**
 * Targets that DeepL lists by region: its clients refuse a plain EN or PT before they ask. A model has one form of each,
 * so every region gets that.
 */
const REGIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  EN: { "EN-GB": "English (British)", "EN-US": "English (American)" },
  PT: { "PT-BR": "Portuguese (Brazilian)", "PT-PT": "Portuguese (European)" },
};

/** DeepL's codes and names of one side of the trained pairs, by code. */
export function deeplLanguages(
  info: ModelInfo,
  side: "source" | "target",
): { code: string; name: string }[] {
  const found = sideOf(info, side).flatMap((flores) => {
    const code = deeplCode(flores);
    const regions = side === "target" ? REGIONS[code] : undefined;
    return Object.entries(regions ?? { [code]: describeLanguage(flores).name });
  });
  return found.map(([code, name]) => ({ code, name })).sort((a, b) => a.code < b.code ? -1 : 1);
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
      deeplLanguages(info, side).map((l) => l.code).join(", ")
    }.`,
  );
}
