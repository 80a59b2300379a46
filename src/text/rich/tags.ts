/** Tags in texts that are no pages: which end a sentence, and which stand for a word. */

/** A line or a block of HTML begins or ends there. */
const BREAKS =
  /^(?:br|hr|p|div|ul|ol|li|dl|dt|dd|h[1-6]|table|thead|tbody|tr|td|th|blockquote|pre)$/i;
/** Elements whose other tag may be in another text. */
const FORMATTING =
  /^(?:a|abbr|b|big|center|code|del|em|font|g|i|ins|kbd|mark|nobr|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var|wbr|x)$/i;

/** Whether what stands before such a tag is another sentence than what stands behind. */
export function endsSentence(name: string): boolean {
  return BREAKS.test(name);
}

/** Whether a tag that nothing closes is one that people fill in: Copy <source> to <target>. */
export function isBlankToFill(raw: string): boolean {
  const name = /^<([A-Za-z][\w.:-]*)>$/.exec(raw)?.[1];
  return name !== undefined && !FORMATTING.test(name) && !BREAKS.test(name);
}
