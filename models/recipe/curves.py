"""Training logs -> one PNG: python curves.py OUT.png LOG.jsonl... (each log a line: loss, and learning rate below)."""
import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


def main() -> None:
    out, *logs = sys.argv[1:]
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(8, 6), height_ratios=[3, 1], layout="constrained")
    for path in logs:
        with open(path, encoding="utf8") as f:
            lines = [json.loads(line) for line in f]
        tokens = [x["tokens"] / 1e6 for x in lines]
        top.plot(tokens, [x["nll"] for x in lines], label=path, linewidth=1)
        bottom.plot(tokens, [x["lr"] for x in lines], linewidth=1)
    top.set_ylabel("training loss, nats a target token")
    top.legend(fontsize="small")
    top.grid(alpha=0.3)
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel("target tokens, millions")
    bottom.grid(alpha=0.3)
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    main()
