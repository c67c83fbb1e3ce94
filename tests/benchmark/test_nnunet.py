"""nnU-Net as a method: what it learns, what it leaves behind, and what is said where it fails."""

from __future__ import annotations

import os
import sys
import tempfile

import numpy as np
import pytest

from benchmark.method import MethodError, Support, make_method
from benchmark.methods.nnunet import NnUNet

SHAPE = (48, 64)
# Of nnU-Net's 1000 epochs of 250 steps, one of 30.
TRAINER = """
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

class Brief(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 30, 1
"""
FAULTY = """
for number in range(1000):
    print("chatter", number)
raise RuntimeError("no memory is left")
"""


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder where temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def brief(tmp_path, monkeypatch):
    """The name of a trainer that takes seconds, which nnU-Net finds in a folder of the user's."""
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed")
    folder = tmp_path / "trainers"
    folder.mkdir()
    (folder / "brief.py").write_text(TRAINER)
    monkeypatch.setenv("nnUNet_extTrainer", str(folder))
    return "Brief"


def discs(count, seed):
    """Bright discs on dark noise, and their masks."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(SHAPE)
    centres, radii = rng.uniform(12, np.subtract(SHAPE, 12), (count, 2)), rng.uniform(6, 11, count)
    inside = [
        np.hypot(rows - down, columns - right) < radius
        for (down, right), radius in zip(centres, radii, strict=True)
    ]
    masks = np.stack(inside).astype(np.float32)
    images = (0.2 + 0.4 * masks + rng.normal(0, 0.1, masks.shape)).clip(0, 1)
    return Support(images.astype(np.float32), masks)


def dice(found, truth):
    found, truth = found > 0.5, truth > 0.5
    return 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))


def test_finds_in_new_images_what_it_learned_and_leaves_nothing_behind(brief, scratch, capfd):
    method, before = make_method(f"nnunet:{brief}"), dict(os.environ)
    method.fit(discs(20, seed=0), seed=0)
    new = discs(6, seed=1)
    found = method.predict(new.images)
    assert found.shape == (6, *SHAPE)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert min(dice(*pair) for pair in zip(found, new.masks, strict=True)) > 0.8
    assert not list(scratch.glob("nnunet-*"))
    assert os.environ == before
    assert not capfd.readouterr().out
    assert method.about.name == "nnunet-Brief"


@pytest.mark.parametrize("name", ["nnUNetTrainer_3epochs", "join"])
def test_a_trainer_that_nnunet_lacks_is_refused_at_once(name):
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed")
    with pytest.raises(MethodError, match=f"cannot give a trainer {name}"):
        make_method(f"nnunet:{name}")


def test_without_nnunet_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nnunetv2.utilities.find_objects", None)
    with pytest.raises(MethodError, match="cannot be imported") as error:
        make_method("nnunet")
    assert "pip install 'megamedical[nnunet]'" in error.value.remedy


def test_what_nnunet_printed_last_is_told_when_it_fails(tmp_path, scratch, monkeypatch, capfd):
    (tmp_path / "nnunetv2.py").write_text(FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MethodError, match="no memory is left") as error:
        NnUNet("nnUNetTrainer", release="2").fit(discs(2, seed=0), seed=0)
    assert "chatter 999" in error.value.problem
    assert "chatter 900" not in error.value.problem
    assert not list(scratch.glob("nnunet-*"))
    assert capfd.readouterr() == ("", "")


def test_only_another_trainer_is_in_its_name_and_the_release_in_its_version():
    assert NnUNet("nnUNetTrainer", release="2.8.1").about.name == "nnunet"
    other = NnUNet("nnUNetTrainerDA5", release="2.8.1").about
    assert other.name == "nnunet-nnUNetTrainerDA5"
    assert "2.8.1" in other.version
    assert NnUNet.uses_pool
