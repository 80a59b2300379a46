/** What a page says of its encoding: it is kept to the byte, so that what is written must be readable by it. */

/** In the bytes that browsers look through for it. */
const PRESCANNED = 1024;
const META = /<meta\s[^<>]{0,400}?charset\s*=\s*["']?\s*([\w.:-]+)/i;
const DECLARATION = /^\ufeff?<\?xml\s[^<>]{0,200}?encoding\s*=\s*["']([\w.:-]+)/;

/**
 * A translated page as its source's encoding can show it. A page in ASCII that calls itself ISO-8859-1 was right until
 * now; it gets letters beyond ASCII as character references, which are read alike in every encoding.
 */
export function writtenAsDeclared(translated: string, source: string): string {
  const head = source.slice(0, PRESCANNED);
  const declared = (DECLARATION.exec(head) ?? META.exec(head))?.[1];
  const isUtf8 = declared === undefined || /^utf-?8$/i.test(declared);
  if (isUtf8 || !/^\p{ASCII}*$/u.test(source)) return translated;
  return translated.replace(/\P{ASCII}/gu, (c) => `&#x${c.codePointAt(0)!.toString(16)};`);
}
