/** Whether a checkpoint's tokenizer.json is whole and its model's, told without building it. */
import { printParseErrorCode, visit } from "jsonc-parser";
import { MoqeError } from "../base/errors.ts";

/**
 * Reads tokenizer.json from end to end. It is scanned and not parsed: as objects it takes many times its size.
 *
 * @param rows rows of the model's embedding: no token's id is beyond them
 * @throws MoqeError `corrupt`
 */
export function checkTokenizer(bytes: Uint8Array, rows: number): void {
  const refused = (rule: string) =>
    new MoqeError("corrupt", {
      action: "read tokenizer.json",
      rule,
      remedy: "fetch the checkpoint's tokenizer.json anew",
    });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refused("it is no text in UTF-8");
  }
  let fault: string | undefined, ids = 0, highest = -1;
  visit(text, {
    onLiteralValue(value: unknown, _offset, _length, _line, _character, path) {
      const id = typeof value === "number" ? idAt(path(), value) : undefined;
      if (id === undefined) return;
      ids++;
      highest = Math.max(highest, id);
    },
    onError: (code, offset) => fault ??= `${printParseErrorCode(code)} at character ${offset}`,
  }, { disallowComments: true });
  if (fault !== undefined) throw refused(`it is no JSON: ${fault}`);
  if (ids === 0) throw refused("it has no vocabulary");
  if (highest >= rows) {
    throw refused(`it has an id ${highest}, the model's embedding ${rows} rows`);
  }
}

/** The id that a number of tokenizer.json stands for: a value of a vocabulary, a place in one with scores, or added. */
function idAt(path: readonly (string | number)[], value: number): number | undefined {
  if (path[0] === "model" && path[1] === "vocab") {
    return typeof path[2] === "number" ? path[2] : value;
  }
  return path[0] === "added_tokens" && path[2] === "id" ? value : undefined;
}
