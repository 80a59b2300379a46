"""BLEU and chrF++ (sacrebleu) of a model folder on dev rows, greedy, float32 weights.

python evaluate.py FOLDER DEV --rows 200: DEV holds dev.en-XX.tsv. Rows are numbered from 1: odd ones tune (--odd),
even ones report (the default). Writes one line of JSON a language; --show N prints N translations.
"""
import argparse
import json
import os

import runtime
import sacrebleu
import torch

from batches import TO_ENGLISH
from decode import Greedy
from tokens import rows


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder")
    ap.add_argument("dev")
    ap.add_argument("--weights", help="safetensors instead of the folder's")
    ap.add_argument("--pairs", default="de,fr,es", help="de: from English, de-en: into it (default: %(default)s)")
    ap.add_argument("--rows", type=int, default=500, help="at most so many a language")
    ap.add_argument("--odd", action="store_true")
    ap.add_argument("--show", type=int, default=0)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--device")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    greedy = Greedy(a.folder, runtime.device(a.device), a.weights)
    for name in a.pairs.split(","):
        language = name.removesuffix(TO_ENGLISH)
        pairs = list(rows(os.path.join(a.dev, f"dev.en-{language}.tsv"), drop=()))[0 if a.odd else 1::2][:a.rows]
        sides, tongues = list(zip(*pairs)), ("en", language)
        if name != language:
            sides, tongues = sides[::-1], tongues[::-1]
        source, reference = map(list, sides)
        found = greedy.translate(source, tongues[1], source_language=tongues[0])
        bleu, chrf = sacrebleu.metrics.BLEU(), sacrebleu.metrics.CHRF(word_order=2)
        score = {"pair": "-".join(tongues), "rows": len(pairs),
                 "bleu": round(bleu.corpus_score(found, [reference]).score, 2),
                 "chrf++": round(chrf.corpus_score(found, [reference]).score, 2),
                 "signatures": [str(bleu.get_signature()), str(chrf.get_signature())]}
        print(json.dumps(score), flush=True)
        for s, f in list(zip(source, found))[:a.show]:
            print("   ", s, "=>", f)


if __name__ == "__main__":
    main()
