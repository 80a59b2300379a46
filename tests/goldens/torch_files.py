"""Files as torch.save writes them, for the reader in src/checkpoint: `python torch_files.py`, seconds and 5 GB of disk.

torch/: pytorch_model*.bin of every kind, `expected.json` with what torch says they hold, `zip64.json` with all
parts of a file over 4 GiB that are not zero, `hostile.json` with pickles that ask for more than tensors.
"""

import base64
import builtins
import collections
import io
import json
import os
import pathlib
import pickle
import tempfile

import torch
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).parent
OUT = HERE / "torch"


def tensors() -> dict[str, torch.Tensor]:
    """Every type and every way to lie in a storage."""
    g = torch.Generator().manual_seed(1)
    base = torch.randn(12, 10, generator=g)
    out = {"f32": base, "f16": base.half(), "bf16": base.bfloat16(), "vector": torch.arange(7.0), "one": torch.tensor([[2.5]])}
    out["scalar"] = torch.tensor(3.25)
    out["transposed"] = torch.randn(9, 5, generator=g).t()
    out["rows"] = base[3:7]
    out["columns"] = base[:, 2:5]
    out["every_third"] = torch.arange(60.0).view(12, 5)[::3, ::2]
    out["repeated"] = torch.arange(4.0).expand(3, 4)
    out["permuted"] = torch.randn(2, 3, 4, generator=g).permute(2, 0, 1)
    out["half_transposed"] = torch.randn(6, 4, generator=g).half().t()
    out["tied"] = out["f32"]
    out["ids"] = torch.arange(5)
    return out


def expected(state) -> dict:
    """Shape, type and elements as float32, row by row."""
    def one(t: torch.Tensor) -> dict:
        dtype = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}[str(t.dtype).split(".")[1]]
        data = t.detach().float().contiguous().numpy().tobytes()
        return {"dtype": dtype, "shape": list(t.shape), "f32": base64.b64encode(data).decode()}
    return {name: one(t) for name, t in state.items()}


class Module(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.linear, self.norm = torch.nn.Linear(6, 4), torch.nn.LayerNorm(4)


def save_all() -> None:
    seen, state = {}, tensors()
    module = Module().state_dict()
    # keep_vars makes Parameters of them, as old savers did.
    parameters = collections.OrderedDict(Module().state_dict(keep_vars=True))
    files = {
        "zip": (state, {}),
        "protocol5": (state, dict(pickle_protocol=5)),
        "legacy": (state, dict(_use_new_zipfile_serialization=False)),
        "module": (module, {}),
        "parameters": (parameters, {}),
        "legacy_parameters": (parameters, dict(_use_new_zipfile_serialization=False)),
    }
    for name, (value, options) in files.items():
        torch.save(value, OUT / f"{name}.bin", **options)
        seen[name] = expected(value)
    (OUT / "expected.json").write_text(json.dumps(seen) + "\n")


def save_sharded() -> None:
    """The checkpoint nllb_moe/baseline as shards of torch, with names as on the Hub."""
    weights = load_file(HERE / "nllb_moe" / "baseline" / "model.safetensors")
    names = sorted(weights)
    map_, count = {}, 3
    for i in range(count):
        file = f"pytorch_model-{i + 1:05}-of-{count:05}.bin"
        part = {n.removeprefix("model."): weights[n] for n in names[i::count]}
        torch.save(part, OUT / file)
        map_ |= dict.fromkeys(part, file)
    size = sum(t.numel() * t.element_size() for t in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(map_.items()))}
    (OUT / "pytorch_model.bin.index.json").write_text(json.dumps(index) + "\n")


def save_zip64() -> None:
    """A tensor over 4 GiB of zeros but its ends, and one behind it: sizes and places that need 64 bits."""
    large = torch.zeros(2**30 + 2**20)
    large[0], large[-1] = 1.5, -2.5
    state = {"large": large.view(-1, 2**20), "behind": torch.arange(6.0).view(2, 3)}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "x.bin"
        torch.save(state, path)
        size, parts, step = path.stat().st_size, [], 4096
        with open(path, "rb") as f:
            for at in range(0, size, 2**24):
                f.seek(at)
                chunk = f.read(2**24)
                if not chunk.strip(b"\0"):
                    continue
                for i in range(0, len(chunk), step):
                    piece = chunk[i : i + step]
                    if piece.strip(b"\0"):
                        parts.append([at + i, base64.b64encode(piece.rstrip(b"\0")).decode()])
    (OUT / "zip64.json").write_text(json.dumps({"bytes": size, "parts": parts}) + "\n")


class Calls:
    """Pickled as a call of a function with arguments."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile() -> None:
    """Whole pickles, in place of data.pkl, and what each one asks for."""
    cases = {
        "posix.system": Calls(os.system, "touch /tmp/hacked"),
        "__builtin__.eval": Calls(builtins.eval, "1"),
        "__builtin__.getattr": Calls(getattr, "x", "upper"),
        "torch._utils._rebuild_sparse_tensor": {"w": torch.eye(2).to_sparse()},
        "torch._utils._rebuild_qtensor": {"w": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)},
        "__main__.Module": Module(),
        "_codecs.encode": {"w": b"bytes"},
        "__builtin__.set": {"w": set()},
        "__builtin__.complex": {"w": 1j},
        "datetime.date": {"w": __import__("datetime").date(2020, 1, 1)},
    }  # fmt: skip
    out = []
    for asks, value in cases.items():
        buffer = io.BytesIO()
        torch.save(value, buffer)
        with __import__("zipfile").ZipFile(buffer) as z:
            data = z.read(next(n for n in z.namelist() if n.endswith("data.pkl")))
        assert asks.rsplit(".", 1)[-1].encode() in data, asks
        out.append({"asks": asks, "pickle": base64.b64encode(data).decode()})
    data = pickle.dumps({"w": 1}, 0)
    out.append({"asks": "the instruction 0x64", "pickle": base64.b64encode(data).decode()})
    (OUT / "hostile.json").write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    save_all()
    save_sharded()
    hostile()
    save_zip64()
