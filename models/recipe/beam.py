"""Batched beam search with key-value caches, for distil.py (published figures come from moqe).

Shapes: B sentences, K beams, S source positions, T steps so far, H heads, d head width, D d_model, V vocabulary.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from model import Translator

BALLAST = 16
"""Sentences that leave a batch at once."""

BLOCK = 16
"""Places by which the caches of a batch grow."""

UNENDED = 1e3
"""Taken from the score of a translation that did not end: it comes after all that did."""


class Beams:
    """Searches with a Translator whose linear layers it turns into bf16 (in place: the model is for this alone)."""

    def __init__(self, model: Translator, beams: int):
        self.model, self.beams = model.eval(), beams
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and not name.endswith("classifier"):
                module.bfloat16()
        self.table = model.shared.weight.detach().bfloat16().t().contiguous()

    @torch.no_grad()
    def search(self, source: torch.Tensor, language: int) -> list[list[list[int]]]:
        """Source ids [B, S] -> up to K translations a sentence, best first, without language and end.

        A sentence is done when K translations have ended; scores are means over tokens, the end included. What has not
        ended after twice the source's length + 10 steps is cut there.
        """
        c, K, device = self.model.config, self.beams, source.device
        repeated = lambda token: torch.full((len(source) * K,), token, device=device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            state = State(self.model, source, K)
            state.feed(repeated(c.decoder_start_token_id))
            rows, token = Rows(len(source), K), repeated(language)
            for _ in range(2 * source.shape[1] + 10):
                score = torch.mm(state.feed(token).bfloat16(), self.table).float().log_softmax(-1)
                token, parent, kept = (t.to(device) for t in rows.extend(score, c.eos_token_id))
                if not len(token):
                    break
                state.reorder(parent, kept)
        return rows.results()


class Rows:
    """The beams' tokens and scores; ended translations by sentence.

    A sentence that is done stays as ballast until BALLAST of them leave together: on a CPU every new shape of a product
    compiles a kernel, and its memory is kept.
    """

    def __init__(self, count: int, beams: int):
        self.beams = beams
        self.number = list(range(count))
        self.total = torch.full((count, beams), -torch.inf)
        self.total[:, 0] = 0
        self.tokens = [[[] for _ in range(beams)] for _ in range(count)]
        self.ended = [[] for _ in range(count)]

    def extend(self, score: torch.Tensor, end: int):
        """Log probabilities [B * K, V] -> (next tokens [B' * K], the rows they follow [B' * K], sentences that stay [B'])."""
        B, K = self.total.shape
        best, which = (t.cpu() for t in score.topk(2 * K, dim=-1))
        total = (self.total.view(B, K, 1) + best.view(B, K, 2 * K)).view(B, -1)
        total, place = total.topk(2 * K, dim=-1)
        beam, token = place // (2 * K), which.view(B, -1).gather(1, place)
        going = []
        for b, found in enumerate(zip(total.tolist(), token.tolist(), beam.tolist())):
            found = list(zip(*found))
            going.append([f for f in found if f[1] != end][:K] if self.keep(b, found, end) else None)
        return self.follow(going, end)

    def keep(self, b: int, found, end: int) -> bool:
        """Notes which of a sentence's 2 K best (total, token, beam) end; whether it goes on."""
        ended = self.ended[self.number[b]]
        if len(ended) >= self.beams:
            return False
        for k, (total, token, beam) in enumerate(found):
            if token == end and k < self.beams and total > -torch.inf:
                text = self.tokens[b][beam]
                ended.append((total / (len(text) + 1), text))
        return len(ended) < self.beams

    def follow(self, going: list, end: int):
        """The K extensions of each sentence, None for one that is done -> what extend() gives."""
        done = [b for b, g in enumerate(going) if g is None]
        leave = set(done if len(done) == len(going) else done[:len(done) // BALLAST * BALLAST])
        kept = [b for b in range(len(going)) if b not in leave]
        still = [going[b] or [(0.0, end, k) for k in range(self.beams)] for b in kept]
        self.number = [self.number[b] for b in kept]
        self.tokens = [[[*self.tokens[b][beam], token] for _, token, beam in g] for b, g in zip(kept, still)]
        self.total = torch.tensor([[g[0] for g in gs] for gs in still]).view(-1, self.beams)
        tokens = torch.tensor([g[1] for gs in still for g in gs], dtype=torch.long)
        parents = torch.tensor([b * self.beams + g[2] for b, gs in zip(kept, still) for g in gs], dtype=torch.long)
        return tokens, parents, torch.tensor(kept, dtype=torch.long)

    def results(self) -> list[list[list[int]]]:
        """Translations of every sentence, best first; of one that did not end, its beams as they are."""
        for b, n in enumerate(self.number):
            cut = zip(self.tokens[b], self.total[b].tolist()) if len(self.ended[n]) < self.beams else ()
            self.ended[n] += [(total / len(text) - UNENDED, text) for text, total in cut if total > -torch.inf]
        return [[text for _, text in sorted(e, key=lambda p: -p[0])[:self.beams]] for e in self.ended]


class State:
    """What a batch keeps between steps: cross keys and values by sentence, own ones by beam, the position."""

    def __init__(self, model: Translator, source: torch.Tensor, beams: int):
        memory, self.mask = model.encode(source)
        self.model, self.beams, self.step = model, beams, 0
        self.cross = [layer.cross_attention.keys_values(memory) for layer in model.decoder.layers]
        self.own = [tuple(keys.new_empty(len(source) * beams, keys.shape[1], 0, keys.shape[3]) for keys in pair)
                    for pair in self.cross]

    def room(self):
        """Own keys and values get BLOCK more places when they are full; places not yet used are masked."""
        if self.own[0][0].shape[2] < self.step:
            self.own = [tuple(F.pad(part, (0, 0, 0, BLOCK)) for part in pair) for pair in self.own]
        return torch.arange(self.own[0][0].shape[2], device=self.mask.device).ge(self.step) * -1e4

    def feed(self, token: torch.Tensor) -> torch.Tensor:
        """One token a beam [B * K] -> the decoder's states [B * K, D]."""
        model, c, K = self.model, self.model.config, self.beams
        self.step += 1
        unused = self.room()
        x = F.embedding(token, model.shared.weight) * c.d_model ** 0.5 + model.positions[c.pad_token_id + self.step]
        live = torch.ones(len(token), 1, dtype=torch.bool, device=token.device)
        x = x[:, None]
        for layer, own, cross in zip(model.decoder.layers, self.own, self.cross):
            h = layer.self_attn_layer_norm(x).bfloat16()
            for part, new in zip(own, layer.self_attn.keys_values(h)):
                part[:, :, self.step - 1] = new[:, :, 0]
            x = x + layer.self_attn.attend(layer.self_attn.queries(h), *own, unused)
            h = layer.cross_attention_layer_norm(x).bfloat16()
            queries = layer.cross_attention.queries(h.view(-1, K, c.d_model))
            x = x + layer.cross_attention.attend(queries, *cross, self.mask).view(x.shape)
            h = layer.ff_layer_norm(x).bfloat16()
            x = x + (layer.ffn(h, live) if layer.sparse else layer.ffn(h))
        return model.decoder.layer_norm(x)[:, 0]

    def reorder(self, parent: torch.Tensor, kept: torch.Tensor):
        """Beams take over their parents' keys and values; sentences that are done leave."""
        self.own = [tuple(part.index_select(0, parent) for part in layer) for layer in self.own]
        if len(kept) < len(self.mask):
            self.cross = [tuple(part.index_select(0, kept) for part in layer) for layer in self.cross]
            self.mask = self.mask.index_select(0, kept)
