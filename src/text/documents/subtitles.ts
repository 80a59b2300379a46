/** SubRip and WebVTT: numbers, times, settings, styles and notes stay; a cue's lines are translated as one text. */
import { MoqeError } from "../../base/errors.ts";
import { stringSegment } from "../strings.ts";
import { type DocumentPart, linesOf, longestOf, wrap } from "./parts.ts";

/** Broadcasters' usual bound of a subtitle's line. */
const LINE_CHARS = 42;
const TIMING =
  /^\s*(?:\d{1,4}:)?\d{1,2}:\d{2}[.,]\d{1,3}\s*-->\s*(?:\d{1,4}:)?\d{1,2}:\d{2}[.,]\d{1,3}/;

type Line = ReturnType<typeof linesOf>[number];

/** The parts of a subtitle file. Throws MoqeError `bad_input` for one without a single time. */
export function subtitleParts(text: string, format: "srt" | "vtt"): DocumentPart[] {
  const lines = linesOf(text), parts: DocumentPart[] = [];
  let cues = 0;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    parts.push(line.text + line.end);
    if (!TIMING.test(line.text)) {
      // Blocks of WebVTT that hold no speech end at a blank line, too.
      if (format === "vtt" && /^(?:NOTE|STYLE|REGION)\b/.test(line.text)) {
        while (i + 1 < lines.length && lines[i + 1]!.text.trim() !== "") {
          i++;
          parts.push(lines[i]!.text + lines[i]!.end);
        }
      }
      continue;
    }
    cues++;
    const end = endOfCue(lines, i + 1, format);
    for (const part of speechParts(lines.slice(i + 1, end))) parts.push(part);
    i = end - 1;
  }
  if (cues === 0 && text.trim() !== "" && !(format === "vtt" && /^\ufeff?WEBVTT/.test(text))) {
    throw new MoqeError("bad_input", {
      action: `read the ${format} file`,
      rule: "no line has times, as in 00:00:01,000 --> 00:00:02,500",
    });
  }
  return parts;
}

/**
 * The line behind a cue that begins at `first`. A blank line ends one of WebVTT; one of SubRip goes on until the next
 * times, as players have it. A number before times is the next cue's; other words there are speech, as WebVTT's
 * identifiers come behind a blank line.
 */
function endOfCue(lines: readonly Line[], first: number, format: "srt" | "vtt"): number {
  let end = first;
  while (end < lines.length && !TIMING.test(lines[end]!.text)) {
    if (format === "vtt" && lines[end]!.text.trim() === "") return end;
    end++;
  }
  const hasNumber = end < lines.length && end > first && /^\s*\d+\s*$/.test(lines[end - 1]!.text);
  return hasNumber ? end - 1 : end;
}

/** Lines of one cue: those between blank ones are a text each. */
function speechParts(lines: readonly Line[]): DocumentPart[] {
  const parts: DocumentPart[] = [];
  for (let i = 0; i < lines.length; i++) {
    const first = i;
    while (i < lines.length && lines[i]!.text.trim() !== "") i++;
    if (i > first) { for (const part of cueParts(lines.slice(first, i))) parts.push(part); }
    if (i < lines.length) parts.push(lines[i]!.text + lines[i]!.end);
  }
  return parts;
}

/** Where another begins to speak: a dash, a voice tag, the marks of captions, a name in capitals. */
const SPEAKER =
  /^(?:\s|<(?!v[\s.>])[^<>]{0,100}>|\{\\[^{}]{0,100}\})*(?:[-–—‐]|>>|<v[\s.>]|\p{Lu}[\p{Lu}\d .'-]{1,30}:(?!\d))/u;

/** The lines of each speaker are a text. */
function cueParts(lines: readonly Line[]): DocumentPart[] {
  const turns = lines.flatMap((line, i) => SPEAKER.test(line.text) ? [i] : []);
  if (turns.length > 1) {
    const starts = turns[0] === 0 ? turns : [0, ...turns];
    return starts.flatMap((start, i) => speechOf(lines.slice(start, starts[i + 1])));
  }
  return speechOf(lines);
}

/** What one says, over one line or several. */
function speechOf(lines: readonly Line[]): DocumentPart[] {
  if (lines.length === 1) return [linePart(lines[0]!.text), lines[0]!.end];
  const text = lines.map((l) => l.text.trim()).join(" ");
  const longest = Math.max(LINE_CHARS, longestOf(lines));
  const source = lines.map((l, i) => l.text + (i < lines.length - 1 ? l.end : "")).join("");
  const encode = (out: string) =>
    balanced(out, lines.length, longest).replaceAll("\n", lines[0]!.end);
  return [{ segment: stringSegment(text, "nonewlines"), source, text, encode }, lines.at(-1)!.end];
}

function linePart(text: string): DocumentPart {
  return { segment: stringSegment(text, "nonewlines"), source: text, text, encode: (out) => out };
}

/** Lines of about one length: as many as before, more only where one would be too long. */
function balanced(text: string, count: number, longest: number): string {
  const visible = text.replace(/<[^<>]*>|\{\\[^{}]*\}/g, "").length;
  const lines = Math.max(visible <= LINE_CHARS / 2 ? 1 : count, Math.ceil(visible / longest));
  const width = Math.ceil(visible / lines);
  // A little wider until the words fit on that many lines.
  for (let extra = 0; extra <= 12; extra += 2) {
    const wrapped = wrap(text, width + extra);
    if (wrapped.split("\n").length <= lines) return wrapped;
  }
  return wrap(text, longest);
}
