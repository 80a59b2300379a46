"""Greedy translation for steering: plain, batched, without a key-value cache (published figures come from moqe)."""
import os

import torch
from tokenizers import Tokenizer

from checkpoint import read_model
from tokens import CODES


class Greedy:
    """A model folder on a device; float32 weights unless autocast is on outside."""

    def __init__(self, folder: str, device: torch.device, weights: str | None = None):
        self.model = read_model(folder, weights).to(device).eval()
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.device = device

    def ids(self, texts: list[str], language: str) -> list[list[int]]:
        """[language] ids </s> of each text."""
        code, c = self.tokenizer.token_to_id(CODES[language]), self.model.config
        encoded = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        return [[code, *e.ids, c.eos_token_id] for e in encoded]

    def translate(self, texts: list[str], language: str, batch: int = 50, source_language: str = "en") -> list[str]:
        """Texts -> translations, in the order given."""
        source = self.ids(texts, source_language)
        order = sorted(range(len(texts)), key=lambda i: len(source[i]))
        out = [""] * len(texts)
        for at in range(0, len(order), batch):
            part = order[at:at + batch]
            for i, ids in zip(part, self.generate([source[i] for i in part], language)):
                out[i] = self.tokenizer.decode(ids, skip_special_tokens=True)
        return out

    @torch.no_grad()
    def generate(self, source: list[list[int]], language: str) -> list[list[int]]:
        """Source ids -> target ids, at most twice the longest source + 10; finished rows leave the batch."""
        c, m = self.model.config, self.model
        memory, mask = m.encode(pad(source, c.pad_token_id).to(self.device))
        target = torch.tensor([[c.decoder_start_token_id, self.tokenizer.token_to_id(CODES[language])]] * len(source))
        target, rows, done = target.to(self.device), list(range(len(source))), [[] for _ in source]
        for _ in range(2 * max(map(len, source)) + 10):
            state = m.decode(memory, mask, target)[:, -1].float()
            best = (state @ m.shared.weight.float().t()).argmax(-1)
            going = [k for k, t in enumerate(best.tolist()) if t != c.eos_token_id]
            for k, row in enumerate(rows):
                done[row] = target[k, 2:].tolist()
            if not going:
                return done
            keep = torch.tensor(going, device=self.device)
            target = torch.cat([target, best[:, None]], 1)[keep]
            memory, mask, rows = memory[keep], mask[keep], [rows[k] for k in going]
        for k, row in enumerate(rows):
            done[row] = target[k, 2:].tolist()
        return done


def pad(rows: list[list[int]], filler: int) -> torch.Tensor:
    """Id lists -> [B, longest]."""
    width = max(map(len, rows))
    return torch.tensor([r + [filler] * (width - len(r)) for r in rows])
