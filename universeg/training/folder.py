"""Where a run leaves what it makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from megamedical.files.locking import held


@dataclass(frozen=True)
class Folder:
    """The folder of a run, and the files in it."""

    path: Path

    def prepare(self) -> None:
        """Make it, or take out what a process that was killed had not written to its end."""
        self.path.mkdir(parents=True, exist_ok=True)
        files = (self.config, self.log, self.curve, self.checkpoint, self.stopped, self.best)
        for file in files:
            for unfinished in self.path.glob(f".{file.name}.*"):
                unfinished.unlink()
        for unfinished in self.path.glob("pictures/.*.png.*"):
            unfinished.unlink()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only run in it, as long as the block lasts.

        Raises:
            InUseError: another run goes on there; the message says which, and since when.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with held(
            self.path / ".lock", what=f"The run in {self.path}", doing="training", wait=False
        ):
            yield

    @property
    def config(self) -> Path:
        """All settings."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """A line of JSON now and then."""
        return self.path / "log.jsonl"

    @property
    def tensorboard(self) -> Path:
        """The same for TensorBoard, where it is wanted."""
        return self.path / "tensorboard"

    @property
    def curve(self) -> Path:
        """The learning curve."""
        return self.path / "curve.png"

    @property
    def checkpoint(self) -> Path:
        """What the run needs to go on."""
        return self.path / "checkpoint.pt"

    @property
    def stopped(self) -> Path:
        """The state before a step that could not be taken."""
        return self.path / "stopped.pt"

    @property
    def best(self) -> Path:
        """The weights of the best Dice on the dev split, with their model card."""
        return self.path / "best.safetensors"

    def picture(self, step: int) -> Path:
        """What the network predicted after a step."""
        return self.path / f"pictures/{step:07d}.png"
