"""Makes the goldens of decoder-only mixtures of experts: `python decoders.py [FAMILY[/NAME]...]`, all without arguments.

Run it in this folder with the packages of requirements.txt. README.md says what every file holds.
"""

import json
import pathlib
import sys

import torch
import transformers

import decoder_models
import decoder_record
import decoder_specs
import record

HERE = pathlib.Path(__file__).parent
SEEDS = range(1, 12)


def search(folder: pathlib.Path, options: dict) -> tuple[int, list[dict], dict[str, float]]:
    """The first weight seed under which all prompts are clear and every option matters; its folder is left written."""
    for seed in SEEDS:
        made = decoder_models.random_model(options, seed)
        decoder_models.save(made, folder, options)
        # What is asked is what transformers makes of the file.
        model = decoder_models.load(folder)
        decoder_models.assert_same(made, model, options)
        found = decoder_record.prompts(model, options["lengths"], seed)
        if found is None:
            print(f"  {folder.name}: no clear prompts under seed {seed}", flush=True)
            continue
        decoder_record.confirm(model, found)
        matters = decoder_record.matters(folder, found, options["limit"])
        if min(matters.values()) >= decoder_record.MATTERS:
            return seed, found, matters
        print(f"  {folder.name}: seed {seed} hides an option: {matters}", flush=True)
    raise RuntimeError(f"{folder.name}: no seed below {SEEDS.stop} shows it all; change its spec in decoder_specs.py")


def ends(folder: pathlib.Path, options: dict, found: list[dict]) -> None:
    """Writes end tokens that the second prompt meets, and where generate() stops with them."""
    path = folder / "generation_config.json"
    if options["eos"] is None:
        return
    greedy = found[1]["greedy"]
    at = next(i for i in range(8, len(greedy)) if greedy[i] not in greedy[:i])
    unseen = next(t for t in range(options["config"]["vocab_size"]) if all(t not in f["greedy"] for f in found))
    if options["eos"] == "list":
        decoder_models.patch(path, dict(eos_token_id=[unseen, greedy[at]]))
        decoder_models.patch(folder / "config.json", dict(eos_token_id=unseen))
    else:
        path.unlink()
        decoder_models.patch(folder / "config.json", dict(eos_token_id=greedy[at]))
    model = decoder_models.load(folder)
    for f in found:
        stopped = decoder_record.generated(model, f["tokens"], pad_token_id=0)
        assert stopped == f["greedy"][: len(stopped)]
        f["stopped"] = len(stopped)
    assert found[1]["stopped"] == at + 1


def make(family: str, name: str) -> None:
    """Remakes one folder."""
    options, folder = decoder_specs.spec(family, name), HERE / family / name
    seed, found, matters = search(folder, options)
    ends(folder, options, found)
    for index, f in enumerate(found):
        logits = f.pop("logits")
        f["last"] = record.f32(f["last"])
        if index == 1:
            f["logits"] = record.f32(logits)
    golden = dict(name=name, family=family, transformers=transformers.__version__, torch=torch.__version__, seed=seed,
                  tolerance=record.TOLERANCE, safety=record.SAFETY, new_tokens=decoder_record.NEW_TOKENS,
                  matters=matters)
    lines = ",\n".join(json.dumps(f) for f in found)
    (folder / "golden.json").write_text(f'{json.dumps(golden)[:-1]}, "prompts": [\n{lines}\n]}}\n')
    size = sum(f.stat().st_size for f in folder.iterdir())
    gap = min(f["gaps"]["router"] or 1 for f in found)
    least = min(matters, key=matters.get)
    distinct = [len(set(f["greedy"])) for f in found]
    print(f"{family}/{name}: seed {seed}, {size / 1e3:.0f} kB, router gap {gap:.1e}, distinct {distinct}, "
          f"least {least} {matters[least]}", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    assert transformers.__version__.startswith("4."), "goldens are defined by transformers 4.x"
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for wanted in sys.argv[1:] or decoder_specs.SPECS:
        family, _, name = wanted.partition("/")
        for each in [name] if name else decoder_specs.SPECS[family][1]:
            make(family, each)


if __name__ == "__main__":
    main()
