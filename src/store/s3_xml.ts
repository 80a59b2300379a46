/** The few XML texts that S3 and we exchange: flat lists, read without a parser of all of XML. */

/** Texts of every <tag> in a text, its entities resolved. Only for elements without children of their own name. */
export function elements(xml: string, tag: string): string[] {
  const found = [...xml.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, "g"))];
  return found.map((match) => unescape(match[1]!));
}

/** The first <tag>'s text, or undefined. */
export function element(xml: string, tag: string): string | undefined {
  return elements(xml, tag)[0];
}

/** The blocks between <tag> and </tag> as they are, for `element` to look into. */
export function blocks(xml: string, tag: string): string[] {
  return [...xml.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, "g"))].map((m) => m[1]!);
}

/** The body that completes an upload: part numbers from 1 on with their ETags. */
export function completeUpload(etags: readonly string[]): string {
  const parts = etags.map((etag, i) =>
    `<Part><PartNumber>${i + 1}</PartNumber><ETag>&quot;${etag}&quot;</ETag></Part>`
  );
  return `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`;
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replace(
    /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]+));/gi,
    (all, hex?: string, decimal?: string, name?: string) => {
      if (name !== undefined) return ENTITIES[name] ?? all;
      const code = hex === undefined ? Number(decimal) : parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : all;
    },
  );
}
