/** Texts that are told piece by piece while they are translated: what was told is certain and in order. */
import type { SplitText } from "../text/sentences.ts";
import { StreamDecoder, type TextTokenizer } from "../text/tokenizer.ts";
import type { PartialTokens } from "./queue.ts";
import type { SourceWriter } from "./source.ts";

/** Gets the next piece of one text; a text's pieces joined are its translation. */
export type OnText = (text: number, piece: string) => void;

interface SentenceStream {
  readonly text: number;
  readonly source: string;
  readonly decoder: StreamDecoder;
  /** Tokens that the decoder has. */
  taken: number;
  /** What is certain and could not be told yet, since a sentence before it is not done. */
  waiting: string;
  done: boolean;
}

/** Follows the sentences of one request. Sentences may end in any order; each text is told from its start. */
export class TextStreams {
  /** Sentences of all texts, in the order of the request's jobs. */
  readonly #sentences: SentenceStream[] = [];
  /** Of each text: its pieces, and which is told next. */
  readonly #texts: { readonly split: SplitText; readonly first: number; next: number }[] = [];

  constructor(
    splits: readonly SplitText[],
    tokenizer: TextTokenizer,
    private readonly onText: OnText,
    /** Finds a sentence's translation in the whole of an answer, which is then told in one piece. */
    private readonly answer?: SourceWriter["answer"],
  ) {
    for (const [text, split] of splits.entries()) {
      this.#texts.push({ split, first: this.#sentences.length, next: 0 });
      for (const source of split.sentences) {
        const decoder = new StreamDecoder(tokenizer);
        this.#sentences.push({ text, source, decoder, taken: 0, waiting: "", done: false });
      }
    }
  }

  /** Tells what is left when every sentence is done: texts that have none. */
  rest(): void {
    for (const text of this.#texts.keys()) this.#tell(text);
  }

  /** Takes what became certain of a sentence. */
  take({ sentence: index, tokens, done }: PartialTokens): void {
    const sentence = this.#sentences[index]!;
    if (this.answer !== undefined && !done) return;
    while (sentence.taken < tokens.length) {
      sentence.waiting += sentence.decoder.push(tokens[sentence.taken++]!);
    }
    if (done) sentence.waiting += sentence.decoder.end();
    if (this.answer !== undefined) {
      sentence.waiting = this.answer(sentence.source, sentence.waiting);
    }
    sentence.done = done;
    this.#tell(sentence.text);
  }

  /** Tells as much of a text as is certain from where it stopped. */
  #tell(index: number): void {
    const text = this.#texts[index]!;
    let piece = "";
    for (; text.next < text.split.pieces.length; text.next++) {
      const part = text.split.pieces[text.next]!;
      if (typeof part === "string") {
        piece += part;
        continue;
      }
      const sentence = this.#sentences[text.first + part]!;
      piece += sentence.waiting;
      sentence.waiting = "";
      if (!sentence.done) break;
    }
    if (piece !== "") this.onText(index, piece);
  }
}
