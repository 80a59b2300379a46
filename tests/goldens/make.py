"""Makes the goldens: `python make.py ARCHITECTURE [NAME...]`, `shipped CHECKPOINT CORPUS`, `tokenizer CHECKPOINT CORPUS`.

Run it in this folder with the packages of requirements.txt. README.md says what every file holds.
"""

import argparse
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).parent


def checkpoints(architecture: str, names: list[str]) -> None:
    """Remakes the tiny checkpoints: the first weight seed under which five sentences are clear of the tolerance."""
    import record
    import specs
    import tiny

    for name in names or specs.SPECS[architecture]:
        options = specs.spec(architecture, name)
        folder = HERE / architecture / name
        for seed in range(1, 100):
            # Saved and read back first: what is searched is what transformers makes of the file.
            made = tiny.random_model(options, seed)
            tiny.save(made, folder, options["store"])
            model = tiny.load(folder)
            tiny.assert_same(made, model)
            found = record.sentences(model, seed, options["alternative_beam"])
            # Both ways of stopping belong in a golden.
            searches = sum(1 + len(f["beams"]) for f in found or [])
            if found and 2 <= record.ends(model, found) <= searches - 2:
                break
        else:
            raise RuntimeError(f"{name}: no seed below 100 has clear sentences; change its std in specs.py")
        seen = record.confirm(model, found)
        header = dict(name=name, transformers=transformers.__version__, torch=torch.__version__, seed=seed,
                      tolerance=record.TOLERANCE, safety=record.SAFETY, max_length=record.MAX_LENGTH, **seen)
        record.write(folder / "golden.json", header, found)
        size = sum(f.stat().st_size for f in folder.iterdir())
        print(f"{name}: seed {seed}, {record.ends(model, found)} ends, {size / 1e3:.0f} kB, {seen}", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    assert transformers.__version__.startswith("4."), "goldens are defined by transformers 4.x"
    transformers.logging.set_verbosity_error()
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    import specs

    for architecture in specs.SPECS:
        commands.add_parser(architecture).add_argument("names", nargs="*")
    for name in ["shipped", "tokenizer"]:
        command = commands.add_parser(name)
        command.add_argument("checkpoint", type=pathlib.Path)
        command.add_argument("corpus", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command in specs.SPECS:
        checkpoints(arguments.command, arguments.names)
    elif arguments.command == "shipped":
        import shipped

        shipped.make(arguments.checkpoint, arguments.corpus, HERE)
    else:
        import tokenizer

        tokenizer.make(arguments.checkpoint, arguments.corpus, HERE)


if __name__ == "__main__":
    main()
