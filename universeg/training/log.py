"""What a run writes down as it goes: JSON lines always, TensorBoard on demand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file


class Log:
    """A file of JSON lines, each with its step, and the same for TensorBoard if it is wanted."""

    def __init__(self, path: Path, after: int, tensorboard: Path | None = None) -> None:
        """Open it to go on after a step; what was written of later ones is taken out.

        Raises:
            MegaMedicalError: TensorBoard is wanted and not installed.
        """
        self._path = path
        if path.exists():
            kept = [row for row in _rows(path) if row["step"] <= after]
            with whole_file(path) as unfinished:
                unfinished.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._board = _board(tensorboard, after) if tensorboard else None

    def write(self, step: int, **values: float) -> None:
        """Note some figures of a step."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what TensorBoard does not have yet; the file of JSON lines has all."""
        if self._board:
            self._board.close()


class Unwritten(Log):
    """The log of a process that does not lead."""

    def __init__(self) -> None:
        """Open nothing."""

    def write(self, step: int, **values: float) -> None:
        """See `Log`."""

    def close(self) -> None:
        """See `Log`."""


def _rows(path: Path) -> list[dict[str, Any]]:
    """All whole lines: the last may have been cut off."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _board(folder: Path, after: int) -> Any:  # noqa: ANN401  (TensorBoard is optional)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MegaMedicalError(
            "TensorBoard is not installed", "`pip install tensorboard`, or leave `tensorboard` off."
        ) from error
    return SummaryWriter(folder, purge_step=after + 1)
