"""Several processes as one training: every so many steps each goes on from the mean of all their weights.

Local SGD (Stich 2019): batches and optimizer states stay each process's own, nothing but weights is exchanged, in files of
a folder of this training's own (best in memory, /dev/shm). Two processes of one thread each get far more done on the two
threads of a core than one process of two does.
"""
import glob
import os
import time

import torch

from runtime import atomically

POLL_SECONDS = 0.05
PATIENCE = 6000
"""Polls (five minutes of them: a paused process counts none) before the rest go on without who is missing."""


class Peers:
    """One of `count` processes, number `rank` from 0 on, that meet in `folder` after every `steps` steps."""

    def __init__(self, folder: str, rank: int, count: int, steps: int, patience: int = PATIENCE):
        if not 0 <= rank < count or steps < 1:
            raise SystemExit(f"--rank {rank} of {count} peers, every {steps} steps: ranks count from 0, steps from 1")
        self.folder, self.rank, self.count, self.steps, self.patience = folder, rank, count, steps, patience
        os.makedirs(folder, exist_ok=True)
        self.forget()  # an earlier training's weights would pass for this one's

    def path(self, step: int, rank: int) -> str:
        return os.path.join(self.folder, f"{step}.{rank}.pt")

    @torch.no_grad()
    def meet(self, model: torch.nn.Module, step: int, stopped=lambda: False) -> int:
        """Takes the mean of the weights of all who are at this step, bit for bit the same for each; how many they were.

        Who does not come within the patience is left out, and `stopped` ends the waiting at once: then 1, and the weights
        stay as they are.
        """
        own = self.path(step, self.rank)
        atomically(own, lambda path: torch.save(model.state_dict(), path))
        present = self.wait(step, stopped)
        if len(present) > 1:
            found = [torch.load(path, map_location="cpu", weights_only=True) for path in present]
            model.load_state_dict({k: sum(f[k] for f in found) / len(found) for k in found[0]})
        self.forget(own)  # whoever is at this step has read what was left at earlier ones
        return len(present)

    def forget(self, kept: str | None = None) -> None:
        """Removes what this process left in the folder."""
        for path in glob.glob(os.path.join(self.folder, f"*.{self.rank}.pt")):
            if path != kept:
                os.remove(path)

    def wait(self, step: int, stopped) -> list[str]:
        """The files of all who are at this step, one's own among them."""
        paths = [self.path(step, rank) for rank in range(self.count)]
        for _ in range(self.patience):
            if all(map(os.path.exists, paths)):
                return paths
            if stopped():
                return [self.path(step, self.rank)]
            time.sleep(POLL_SECONDS)
        here = [path for path in paths if os.path.exists(path)]
        print(f"step {step}: {len(here)} of {self.count} peers are here, on without the rest", flush=True)
        return here
