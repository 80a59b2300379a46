"""Train or continue a model: packed arrays in, a bf16 checkpoint every few minutes out; CPU and CUDA alike.

python train.py DATA OUT --init FOLDER --minutes 90. OUT gets last.safetensors (bf16, every --save-minutes), log.jsonl,
config.json and the tokenizer files, and state.pt (float32 weights and optimizer state: local, to resume from; not
carried further). Running the same command again resumes. SIGTERM saves and ends; SIGSTOP and SIGCONT pause.
"""
import argparse
import json
import os
import re
import shutil
import signal
import sys
import time
from dataclasses import replace

import qat
import runtime
import torch

from batches import Batches
from checkpoint import TOKENIZER_FILES, config_json, read_config, read_model, write_weights
from model import Translator
from muon import Muon

PAUSE_SECONDS = 60
"""A step that took longer was paused: no more than this of it counts as training time."""


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data", help="folder of tokens.py or distil.py, or several with commas between")
    ap.add_argument("out")
    ap.add_argument("--init", required=True, help="Hugging Face folder: its configuration, tokenizer and weights")
    ap.add_argument("--scratch", action="store_true", help="take only configuration and tokenizer from --init")
    ap.add_argument("--dense", action="store_true", help="train the dense twin (implies --scratch)")
    ap.add_argument("--qat", action="store_true", help="train with the experts' matrices in 2 bits (qat.py)")
    ap.add_argument("--qat-scales", action="store_true", help="keep the codes of weights in 2 bits, train their scales")
    ap.add_argument("--wide", help="experts with this regular expression in their names keep all bits in --qat and --qat-scales")
    ap.add_argument("--scale-lr", type=float, default=1.0, help="of the scales of --qat-scales, times --lr")
    ap.add_argument("--refit-steps", type=int, default=10, help="steps between two fits of the scales of --qat")
    ap.add_argument("--only", help="train the parameters alone whose names have this regular expression in them")
    ap.add_argument("--weights", help="safetensors to start from instead of those of --init")
    ap.add_argument("--pairs", default="de,fr,es", help="de: from English, de-en: into it (default: %(default)s)")
    ap.add_argument("--together", action="store_true", help="encode a sentence once for its translations in all pairs")
    ap.add_argument("--minutes", type=float, default=60)
    ap.add_argument("--steps", type=int, default=10**9)
    ap.add_argument("--slots", type=int, default=6144, help="positions a batch and side, padding included")
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--warmup", type=int, default=100, help="steps")
    ap.add_argument("--decay", type=float, default=0.35, help="last share of the training that decays to near 0")
    ap.add_argument("--adamw", action="store_true", help="AdamW for all parameters, no Muon")
    ap.add_argument("--dropout", type=float, default=0.0)
    ap.add_argument("--balance", type=float, default=0.01, help="coefficient of the experts' balance loss")
    ap.add_argument("--astray", type=float, default=0.0, help="coefficient of what keeps the halves of graft.py apart")
    ap.add_argument("--router-lr", type=float, default=1.0, help="of routers, times --lr; 0.05 for those of upcycle.py")
    ap.add_argument("--trunk-lr", type=float, default=1.0, help="of all that is no expert and no router, times --lr")
    ap.add_argument("--bias-lr", type=float, default=1.0, help="of the experts' biases, times --lr")
    ap.add_argument("--teacher", help="safetensors of this configuration, or a folder: trains towards its distribution, too")
    ap.add_argument("--teacher-share", type=float, default=0.5, help="of the teacher in the wanted distribution")
    ap.add_argument("--teacher-pairs", help="those that it knows, batches of their own; of grafted experts the first half's")
    ap.add_argument("--teacher-data", help="folders of DATA that it teaches; the others have their references alone")
    ap.add_argument("--other-teacher", help="as --teacher, of what that one does not teach")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--device")
    ap.add_argument("--rss-cap-gb", type=float, default=5.0, help="past it: save, start anew, resume")
    ap.add_argument("--save-minutes", type=float, default=5)
    ap.add_argument("--log-steps", type=int, default=25)
    return ap.parse_args()


def initial_model(a) -> Translator:
    """The model to start from, and OUT's configuration and tokenizer files."""
    training = {"dropout": a.dropout, "balance_coef": a.balance, "astray_coef": a.astray}
    config = replace(read_config(a.init), **training)
    if a.dense:
        config = config.dense_twin()
    model = Translator(config) if a.scratch or a.dense else read_model(a.init, a.weights, **training)
    with open(os.path.join(a.out, "config.json"), "w", encoding="utf8") as f:
        json.dump(config_json(config), f, indent=2)
    for name in TOKENIZER_FILES:
        shutil.copyfile(os.path.join(a.init, name), os.path.join(a.out, name))
    return model


def optimizers(model: Translator, a) -> list:
    """Muon for hidden matrices; AdamW for embeddings, routers, scales, norms and biases, at their shares of the rate."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    scales = [p for n, p in named if n.endswith(".gain")]
    named = [(n, p) for n, p in named if not n.endswith(".gain")]
    outer = lambda n, p: a.adamw or p.dim() < 2 or n == "shared.weight" or "classifier" in n
    trunk = lambda n: ".experts." not in n and "classifier" not in n
    pick = lambda test: [p for n, p in named if test(n, p)]
    groups = [{"params": pick(lambda n, p: outer(n, p) and trunk(n) and p.dim() > 1), "weight_decay": 0.01,
               "share": a.trunk_lr},
              {"params": pick(lambda n, p: "classifier" in n), "weight_decay": 0.01, "share": a.router_lr},
              {"params": pick(lambda n, p: p.dim() < 2 and trunk(n)), "weight_decay": 0.0, "share": a.trunk_lr},
              {"params": pick(lambda n, p: p.dim() < 2 and ".experts." in n), "weight_decay": 0.0, "share": a.bias_lr},
              {"params": pick(lambda n, p: outer(n, p) and p.dim() > 1 and ".experts." in n), "weight_decay": 0.01},
              {"params": scales, "weight_decay": 0.0, "share": a.scale_lr}]
    adamw = torch.optim.AdamW(groups, lr=a.lr, betas=(0.9, 0.98), eps=1e-8, fused=True)
    hidden = [{"params": pick(lambda n, p: not outer(n, p) and trunk(n)), "share": a.trunk_lr},
              {"params": pick(lambda n, p: not outer(n, p) and not trunk(n))}]
    return [adamw] if a.adamw else [adamw, Muon(hidden, a.lr)]


def read_teacher(a, path: str | None, device: torch.device) -> Translator | None:
    """Of a folder of its own, or of a file with the configuration of --init; None without a path."""
    if not path:
        return None
    return (read_model(path) if os.path.isdir(path) else read_model(a.init, path)).to(device).eval()


def names(listed: str | None) -> set[str]:
    """Of a list with commas; empty without one."""
    return set(listed.split(",")) if listed else set()


class Run:
    """Model, optimizers and counters; what state.pt holds."""

    def __init__(self, a):
        self.a, self.device = a, runtime.device(a.device)
        self.step = self.tokens = 0
        self.seconds = 0.0
        self.model = initial_model(a).to(self.device)
        for name, p in self.model.named_parameters() if a.only else ():
            p.requires_grad_(re.search(a.only, name) is not None)
        if a.qat_scales:
            qat.attach(self.model, qat.ScaleLinear, a.wide)
        self.optimizers = optimizers(self.model, a)
        self.teacher = read_teacher(a, a.teacher, self.device)
        self.other_teacher = read_teacher(a, a.other_teacher, self.device)
        self.path = os.path.join(a.out, "state.pt")
        if os.path.exists(self.path):
            self.load()
        self.grids = qat.attach(self.model, wide=a.wide) if a.qat else []
        self.first = self.step

    def load(self):
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]

    def save(self, everything: bool):
        """The weights, and with `everything` state.pt too. In bf16, but what --only leaves alone stays exactly as it is."""
        note = {"step": self.step, "tokens": self.tokens}
        kind = torch.float32 if self.a.only else torch.bfloat16
        write_weights(self.model, os.path.join(self.a.out, "last.safetensors"), note, kind)
        if everything:
            state = {"model": self.model.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers],
                     "step": self.step, "tokens": self.tokens, "seconds": self.seconds}
            runtime.atomically(self.path, lambda p: torch.save(state, p))

    def progress(self) -> float:
        """0 at the start, 1 when the minutes or the steps are used up."""
        return max(self.seconds / 60 / self.a.minutes, self.step / self.a.steps)

    def rate(self) -> float:
        """Learning rate: a warm-up after every (re)start, constant, then linear to 2 % of itself."""
        warm = min(1.0, (self.step - self.first + 1) / self.a.warmup)
        return self.a.lr * warm * min(1.0, max(0.02, (1 - self.progress()) / self.a.decay))

    def update(self, batch, apart: bool):
        """One step -> (plain nats a token, balance, gradient norm, tokens); the first three still on the device.

        `apart`: the batch is of --teacher-pairs or --teacher-data.
        """
        lr = self.rate()
        first = apart and bool(self.a.teacher_pairs)
        taught = apart or not (self.a.teacher_pairs or self.a.teacher_data)
        teacher = self.teacher if taught else self.other_teacher
        batch = (t.to(self.device, non_blocking=True) for t in batch)
        loss, nll, balance, count = self.model.loss(*batch, teacher, self.a.teacher_share, first)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, foreach=True)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("share", 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.step % self.a.refit_steps == 0:
            for grid in self.grids:
                grid.refit()
        self.tokens += count
        return nll.detach(), torch.as_tensor(balance).detach(), norm.detach(), count


def train(run: Run, batches, log) -> bool:
    """Until the time is up or a signal: True. False: memory passed the cap (everything is saved)."""
    a, recent, stop = run.a, [], []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    saved = last = logged = time.monotonic()
    for batch in batches:
        if run.progress() >= 1 or stop:
            break
        recent.append(run.update(batch, batches.was_apart))
        now = time.monotonic()
        run.seconds += min(now - last, PAUSE_SECONDS)
        last = now
        if run.step % a.log_steps == 0:
            log(run, recent, now - logged)
            recent, logged = [], time.monotonic()
        if now - saved > a.save_minutes * 60:
            run.save(everything=False)
            saved = time.monotonic()
        if runtime.resident_bytes() > a.rss_cap_gb * 2**30:
            run.save(everything=True)
            return False
    run.save(everything=True)
    return True


def logger(path: str):
    """log(run, recent, seconds) appends a line of JSON to `path` and prints it."""
    def log(run: Run, recent: list, seconds: float) -> None:
        count = sum(r[3] for r in recent)
        line = json.dumps({
            "step": run.step, "tokens": run.tokens,
            "minutes": round(run.seconds / 60, 2), "lr": float(f"{run.rate():.3g}"),
            "nll": round(sum(r[0].item() * r[3] for r in recent) / count, 4),
            "balance": round(sum(r[1].item() for r in recent) / len(recent), 3),
            "norm": round(recent[-1][2].item(), 3), "tokens_per_second": round(count / seconds),
            "rss_gb": round(runtime.resident_bytes() / 2**30, 2)})
        print(line, flush=True)
        with open(path, "a", encoding="utf8") as f:
            f.write(line + "\n")
    return log


def main() -> None:
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    os.makedirs(a.out, exist_ok=True)
    run = Run(a)
    seed = a.seed * 1_000_003 + run.step
    batches = Batches(a.data, a.pairs.split(","), a.slots, seed, names(a.teacher_pairs) | names(a.teacher_data),
                      a.together)
    if not train(run, batches, logger(os.path.join(a.out, "log.jsonl"))):
        os.execv(sys.executable, [sys.executable, *sys.argv])
    print(f"done: step {run.step}, {run.tokens} target tokens")


if __name__ == "__main__":
    main()
