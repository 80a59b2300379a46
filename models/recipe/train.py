"""Train or continue a model: packed arrays in, a bf16 checkpoint every few minutes out; CPU and CUDA alike.

python train.py DATA OUT --init FOLDER --minutes 90. OUT gets last.safetensors (bf16, every --save-minutes), log.jsonl,
config.json and the tokenizer files, and state.pt (float32 weights and optimizer state: local, to resume from; not
carried further). Running the same command again resumes. SIGTERM saves and ends; SIGSTOP and SIGCONT pause.
"""
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

from arguments import arguments
from batches import Batches
from checkpoint import TOKENIZER_FILES, config_json, read_config, read_model, write_weights
from model import Translator
from muon import Muon
from peers import Peers

PAUSE_SECONDS = 60
"""A step that took longer was paused: no more than this of it counts as training time."""


def initial_model(a) -> Translator:
    """The model to start from, and OUT's configuration and tokenizer files."""
    training = {"dropout": a.dropout, "balance_coef": a.balance}
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
        taught = apart or not (self.a.teacher_pairs or self.a.teacher_data)
        teacher = self.teacher if taught else self.other_teacher
        batch = (t.to(self.device, non_blocking=True) for t in batch)
        loss, nll, balance, count = self.model.loss(*batch, teacher, self.a.teacher_share)
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
    peers = Peers(a.peers, a.rank, a.of, a.meet_steps) if a.peers else None
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    saved = last = logged = time.monotonic()
    for batch in batches:
        if run.progress() >= 1 or stop:
            break
        recent.append(run.update(batch, batches.was_apart))
        if peers and (run.step % peers.steps == 0 or run.step == a.steps):
            peers.meet(run.model, run.step, lambda: bool(stop))
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
    a = arguments(__doc__)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    os.makedirs(a.out, exist_ok=True)
    run = Run(a)
    seed = a.seed * 1_000_003 + run.step + 500_009 * a.rank
    batches = Batches(a.data, a.pairs.split(","), a.slots, seed, names(a.teacher_pairs) | names(a.teacher_data),
                      a.together)
    if not train(run, batches, logger(os.path.join(a.out, "log.jsonl"))):
        os.execv(sys.executable, [sys.executable, *sys.argv])
    print(f"done: step {run.step}, {run.tokens} target tokens")


if __name__ == "__main__":
    main()
