"""The other side of beside_transformers.ts: translates on request, one JSON line in, one out.

usage: transformers_side.py CHECKPOINT THREADS f32|bf16
A request is {"source": [ids], "target": id, "beams": n, "max_tokens": n}; the answer {"tokens": [ids], "seconds": s,
"peak_rss": bytes}. Ids are made by moqe, so both sides translate the same tokens.
"""

import json
import sys
import time

import torch
from transformers import NllbMoeForConditionalGeneration


def peak_rss() -> int:
    """Peak resident bytes of this process as the kernel counts them."""
    with open("/proc/self/status", encoding="utf8") as status:
        line = next(x for x in status if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    checkpoint, threads, dtype = sys.argv[1:4]
    torch.set_num_threads(int(threads))
    start = time.perf_counter()
    model = NllbMoeForConditionalGeneration.from_pretrained(
        checkpoint, dtype={"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    ).eval()
    print(json.dumps({"load_seconds": time.perf_counter() - start, "peak_rss": peak_rss()}), flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        start = time.perf_counter()
        with torch.inference_mode():
            out = model.generate(
                torch.tensor([ask["source"]]),
                forced_bos_token_id=ask["target"],
                num_beams=ask["beams"],
                max_new_tokens=ask["max_tokens"],
                do_sample=False,
            )
        seconds = time.perf_counter() - start
        print(json.dumps({"tokens": out[0].tolist(), "seconds": seconds, "peak_rss": peak_rss()}), flush=True)


main()
