"""Whatever is written, a full disk ends it in a sentence, and leaves nothing half-written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image
from torch import nn

from megamedical.files.writing import whole_file
from megamedical.reporting.console import errors_explained
from megamedical.store.preview import save_preview
from universeg.training.checkpoint import Checkpoint
from universeg.weights.files import write_file

FULL = Path("/dev/full")  # which has no room for anything, as the system says it

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


def write_checkpoint(path: Path) -> None:
    weights = {"weights": torch.zeros(100_000)}
    Checkpoint(1, 1.0, weights, [0.5], 0.5, 0.5, {}, "store").save(path)


def write_weights(path: Path) -> None:
    write_file(path, nn.Linear(300, 300), model="linear", architecture={}, card=None)


@pytest.mark.parametrize(
    "write",
    [
        write_checkpoint,
        write_weights,
        lambda path: save_preview(Image.effect_noise((300, 300), 90), path.with_suffix(".png")),
    ],
)
def test_what_is_written_is_named(
    tmp_path, monkeypatch, capsys, write: Callable[[Path], None]
) -> None:
    def nowhere(path: Path) -> Path:
        unfinished = path.with_name(".unfinished")
        unfinished.symlink_to(FULL)
        return unfinished

    monkeypatch.setattr("megamedical.files.writing.unfinished_name", nowhere)
    with pytest.raises(typer.Exit) as ended, errors_explained():
        write(tmp_path / "a")
    said = capsys.readouterr().err
    assert ended.value.exit_code == 1
    assert f"No space left for {tmp_path / 'a'}" in said
    assert "larger disk" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO, errno.EISDIR])
def test_what_the_system_refuses_is_said(capsys, number: int) -> None:
    with pytest.raises(typer.Exit), errors_explained():
        raise OSError(number, os.strerror(number), "some/file")
    said = capsys.readouterr().err
    assert f"some/file cannot be read, or written: {os.strerror(number)}" in said


def test_a_fault_of_ours_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="odd"), errors_explained(), whole_file(tmp_path / "a"):
        raise OSError(errno.ENOTSOCK, "odd")
    with pytest.raises(ZeroDivisionError), errors_explained():
        raise ZeroDivisionError
