"""Runs: they learn, leave what they say, go on after any death, and stop with words."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import own_models
import pytest
import torch
from PIL import Image
from tiny_store import Discs, write_store

from megamedical import open_store
from megamedical.errors import MegaMedicalError
from megamedical.progress import Silence
from universeg.augmentation import Augmentation
from universeg.models import ModelError, load_model
from universeg.training import command, run
from universeg.training.checkpoint import CheckpointError
from universeg.training.config import Config, load_config, save_config
from universeg.training.evaluation import Score
from universeg.training.run import TrainingError, train
from universeg.training.tasks import TaskError
from universeg.training.team import Team, joined
from universeg.weights import read_card

ALONE = Team(0, 1, torch.device("cpu"))
ROWS_EVERY = 4  # steps; not a multiple of those between checkpoints
SMALL = {"encoder_blocks": [4, 4], "decoder_blocks": [4]}
DROPPING = {"model": "line", "architecture": {"dropout": 0.5}}

multiprocessing.get_context("forkserver").set_forkserver_preload(
    ["universeg.training.run", "torch._dynamo", "pandas", "zarr", "pytest"]
)


class Heard(Silence):
    """Remembers the losses and the lines, and may kill the process after a step."""

    def __init__(self, last=None) -> None:
        self.losses, self.lines, self._last = [], [], last

    @contextmanager
    def stage(self, name, total, unit):  # noqa: ARG002
        def done(what=""):
            self.losses.append(float(re.search(r"loss ([\d.]+)", what)[1]))
            if len(self.losses) == self._last:
                os.kill(os.getpid(), signal.SIGKILL)

        yield done

    def say(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(
        tmp_path_factory.mktemp("run") / "store",
        Discs("plain", labels=("kidney", "liver")),
        Discs("other"),
        Discs("hidden", role="heldout"),
    )


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    own_models.install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(run, "_LOGGED", ROWS_EVERY)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads only hold each other up over slices so small."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def settings(**changes):
    return Config.model_validate(
        {
            "architecture": SMALL,
            "resolution": 16,
            "support_size": 2,
            "batch_size": 2,
            "steps": 9,
            "optimiser": {"learning_rate": 1e-2, "warm_up": 8},
            "evaluation": {"every": 5, "queries": 1, "pictures": 2},
            "save_every": 3,
            "cache": "none",
            "workers": 0,
        }
        | changes
    )


def trained(store, out, team=ALONE, listener=None, **changes):
    return train(settings(**changes), store, out, team, listener or Heard())


def checkpoint(out, name="checkpoint.pt"):
    return torch.load(out / name, weights_only=True)


def rows(out):
    """What the log has of each step, without what depends on the clock."""
    timed = {"examples_per_second", "waiting"}
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [{name: value for name, value in row.items() if name not in timed} for row in lines]


def assert_equal(found, wanted):
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for name, value in wanted.items():
            assert_equal(found[name], value)
    elif isinstance(wanted, torch.Tensor):
        assert torch.equal(found, wanted)
    else:
        assert found == wanted


def results(out):
    """All that a run came to, but for settings that change nothing in it."""
    best, card = out / "best.safetensors", read_card(out / "best.safetensors").model_dump()
    return {
        "checkpoint": checkpoint(out) | {"settings": None},
        "log": rows(out),
        "best": dict(load_model(best).state_dict()),
        "card": card | {"settings": None},
        "pictures": {path.name: path.read_bytes() for path in sorted((out / "pictures").iterdir())},
    }


def started(target, *arguments: object):
    """A process that forks from one that has PyTorch already."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    return process


class TestARun:
    def test_learns_what_is_easy(self, store, tmp_path):
        heard = Heard()
        easy = {"tasks": {"include": ["other/*"]}, "augmentation": Augmentation.none()}
        easy["optimiser"] = {"learning_rate": 1e-2}
        outcome = trained(store, tmp_path / "run", listener=heard, steps=30, **easy)
        assert sum(heard.losses[-5:]) < 0.6 * sum(heard.losses[:5])
        assert outcome.dice > outcome.mean_mask + 0.2

    def test_leaves_all_that_it_says(self, store, tmp_path):
        out, heard = tmp_path / "run", Heard()
        outcome = trained(store, out, listener=heard)
        assert sorted(path.name for path in out.iterdir()) == [
            "best.safetensors",
            "checkpoint.pt",
            "config.yaml",
            "log.jsonl",
            "pictures",
        ]
        assert load_config(out / "config.yaml") == settings()
        assert [row["step"] for row in rows(out) if "loss" in row] == [4, 8, 9]
        losses = {row["step"]: row["loss"] for row in rows(out) if "loss" in row}
        assert losses[8] == pytest.approx(sum(heard.losses[4:8]) / 4, abs=1e-3)
        judged = {row["step"]: row["dev_dice"] for row in rows(out) if "dev_dice" in row}
        assert list(judged) == [5, 9]
        assert outcome.weights == out / "best.safetensors"
        assert outcome.dice == max(judged.values())
        assert outcome.examples > 0
        assert 0 < outcome.waited < 1
        assert sorted(path.name for path in (out / "pictures").iterdir()) == [
            "0000005.png",
            "0000009.png",
        ]
        assert len(Image.open(out / "pictures" / "0000009.png").getcolors(2**24)) > 2
        said = "\n".join(heard.lines)
        assert "3 tasks to train on" in said
        assert "kept on the disk: as asked" in said
        assert "step 9: dev Dice" in said

    def test_keeps_the_weights_of_the_best_dice(self, store, tmp_path, monkeypatch):
        dice = iter((0.5, 0.8, 0.8, 0.3))
        score = "plain/discs/mri/axial/mid/liver", "plain"
        monkeypatch.setattr(run, "judge", lambda *_: [Score(*score, next(dice), 0.1)])
        every = {"every": 2, "pictures": 0}
        outcome = trained(store, tmp_path / "run", steps=8, evaluation=every)
        card = read_card(outcome.weights)
        assert (outcome.dice, outcome.mean_mask, card.step) == (0.8, 0.1, 4)
        assert card.scores == {"dev Dice": 0.8, "dev Dice of the mean mask": 0.1}
        dice = iter((0.0, 0.0))
        trained(store, tmp_path / "shorter", steps=4, evaluation=every)
        wanted = checkpoint(tmp_path / "shorter")["model"]
        assert_equal(dict(load_model(outcome.weights).state_dict()), wanted)

    def test_gives_weights_that_say_what_they_have_seen(self, store, tmp_path):
        outcome = trained(store, tmp_path / "run", tasks={"unseen": ["*/liver"]})
        card = read_card(outcome.weights)
        groups = store.attributes.groups
        assert card.groups == {name: groups[name] for name in ("other/discs", "plain/discs")}
        assert card.store == store.attributes.fingerprint
        assert (card.model, card.architecture, card.tasks) == ("universeg", SMALL, 2)
        assert card.unseen == ("plain/discs/mri/axial/mid/liver",)
        assert Config.model_validate(card.settings) == settings(tasks={"unseen": ["*/liver"]})
        assert "hidden" not in card.model_dump_json()

    def test_trains_a_model_of_another_package(self, store, tmp_path):
        outcome = trained(store, tmp_path / "run", model="line", architecture={"factor": 2.0})
        model = load_model(outcome.weights)
        assert type(model) is own_models.Line
        assert model.factor.item() != 2

    def test_changes_its_learning_rate_as_asked(self):
        config = settings(steps=100, optimiser={"warm_up": 4, "decay": "none"})
        rates = [run._pace(config, step) for step in (0, 1, 3, 4, 99)]
        assert rates == [0.25, 0.5, 1, 1, 1]
        config = settings(steps=100, optimiser={"decay": "cosine"})
        rates = [run._pace(config, step) for step in (0, 25, 50, 100, 120)]
        assert rates == pytest.approx([1, 0.5 + 0.5**1.5, 0.5, 0, 0])

    def test_can_be_had_as_the_command_has_it(self, store, tmp_path, capsys):
        file = tmp_path / "mine.yaml"
        save_config(settings(), file)
        outcome = command.run(
            str(store.location), tmp_path / "run", "demo", file, ["steps=2"], "cpu"
        )
        said = capsys.readouterr()
        assert f"Best dev Dice {outcome.dice:.3f}" in said.out + said.err
        assert load_config(tmp_path / "run" / "config.yaml") == settings(steps=2)


def die_after(step, store, out, config):
    """Train until a step, then be killed as by `kill -9`."""
    torch.set_num_threads(1)
    run._LOGGED = ROWS_EVERY
    train(config, open_store(store), out, ALONE, Heard(last=step))


def die_while_saving(store, out, config):
    """Be killed when half of the second checkpoint is written."""
    save = torch.save

    def half(content, path):
        save(content, path)
        if content["step"] == 6:
            os.truncate(path, Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half
    die_after(None, store, out, config)


class TestARunThatWasKilled:
    @pytest.mark.parametrize(
        ("model", "death", "left", "rest"),
        [
            ({}, (die_after, 2), 9, {}),  # before there is any checkpoint
            (DROPPING, (die_after, 5), 6, {"workers": 1}),  # with losses that no row has yet
            ({}, (die_after, 9), 3, {"cache": "host"}),  # before the last step is judged
            (DROPPING, (die_while_saving,), 6, {}),
        ],
    )
    def test_goes_on_as_if_it_had_not_been(self, store, tmp_path, model, death, left, rest):
        trained(store, tmp_path / "unbroken", **model)
        out, heard = tmp_path / "run", Heard()
        target, *step = death
        process = started(target, *step, str(store.location), out, settings(**model))
        process.join()
        assert process.exitcode == -signal.SIGKILL
        trained(store, out, listener=heard, **model, **rest)
        assert len(heard.losses) == left
        assert_equal(results(out), results(tmp_path / "unbroken"))

    def test_goes_on_for_longer_when_it_is_asked_to(self, store, tmp_path):
        trained(store, tmp_path / "short", steps=6)
        heard = Heard()
        trained(store, tmp_path / "short", listener=heard, steps=9)
        assert "Going on after step 6 of 9." in heard.lines
        trained(store, tmp_path / "long", steps=9)
        for name in ("model", "optimiser", "random"):
            assert_equal(*(checkpoint(tmp_path / out)[name] for out in ("short", "long")))


def take_part(rank, port, store, out, config):
    """Be one of two processes that train together."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    with joined("cpu") as team:
        train(config, open_store(store), out, team, Silence())


class TestTwoProcesses:
    def test_learn_what_one_would(self, store, tmp_path):
        config = settings(steps=3, batch_size=4)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        where = str(store.location), tmp_path / "two", config
        processes = [started(take_part, rank, port, *where) for rank in range(2)]
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0]
        trained(store, tmp_path / "one", steps=3, batch_size=4)
        one, two = (checkpoint(tmp_path / name) for name in ("one", "two"))
        for name, weights in one["model"].items():
            torch.testing.assert_close(two["model"][name], weights, atol=1e-6, rtol=0)
        assert two["best"] == pytest.approx(one["best"], abs=1e-6)
        for found, wanted in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
            assert found == pytest.approx(wanted, abs=1e-6)

    def test_cannot_share_what_cannot_be_halved(self, store, tmp_path):
        with pytest.raises(TrainingError, match="2 processes cannot share batches of 3") as error:
            trained(store, tmp_path / "run", Team(0, 2, torch.device("cpu")), batch_size=3)
        assert "multiple of 2" in error.value.remedy


class TestARunStops:
    @pytest.mark.parametrize(
        ("model", "said"),
        [("noloss", "The loss is nan"), ("nogradient", "The norm of the gradient is (nan|inf)")],
    )
    def test_when_what_it_learns_by_is_no_number(self, store, tmp_path, model, said):
        out = tmp_path / "run"
        with pytest.raises(TrainingError, match=f"{said} at step 3") as error:
            trained(store, out, model=model, architecture={}, save_every=1)
        assert str(out / "stopped.pt") in error.value.problem
        assert "learning_rate" in error.value.remedy
        stopped, before = checkpoint(out, "stopped.pt"), checkpoint(out)
        assert stopped["step"] == before["step"] == 2
        for name in ("factor", "added"):
            assert stopped["model"][name].isfinite()
            assert torch.equal(stopped["model"][name], before["model"][name])


class TestARunIsRefused:
    def test_on_slices_of_another_size(self, store, tmp_path):
        with pytest.raises(TaskError, match=r"slices of 16 pixels a side, .* for 32") as error:
            trained(store, tmp_path / "run", resolution=32)
        assert "resolution=16" in error.value.remedy
        assert "--resolution 32" in error.value.remedy
        assert not (tmp_path / "run").exists()

    def test_on_a_store_with_nothing_to_train_on(self, tmp_path):
        held_out = write_store(tmp_path / "store", Discs("hidden", role="heldout"))
        with pytest.raises(TaskError, match=r"nothing to train on: .*1 of role heldout") as error:
            trained(held_out, tmp_path / "run")
        assert "megamedical list" in error.value.remedy
        assert not (tmp_path / "run").exists()

    def test_with_a_model_that_is_not_there(self, store, tmp_path):
        with pytest.raises(ModelError, match="no model unet"):
            trained(store, tmp_path / "run", model="unet")
        assert not (tmp_path / "run").exists()

    def test_in_the_folder_of_a_run_with_other_settings(self, store, tmp_path):
        out = tmp_path / "run"
        trained(store, out, steps=3)
        before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
        with pytest.raises(CheckpointError, match="another setting of optimiser, seed") as error:
            trained(store, out, seed=1, optimiser={"learning_rate": 1e-3})
        assert "--out" in error.value.remedy
        assert {path: path.read_bytes() for path in out.iterdir() if path.is_file()} == before

    def test_in_the_folder_of_a_run_on_another_store(self, store, tmp_path):
        trained(store, tmp_path / "run", steps=3)
        other = write_store(tmp_path / "store", Discs("plain"))
        with pytest.raises(CheckpointError, match="the store"):
            trained(other, tmp_path / "run")

    @pytest.mark.parametrize("damage", ["empty", "cut", "text", "list", "lacking"])
    def test_with_a_checkpoint_that_is_damaged(self, store, tmp_path, damage):
        out = tmp_path / "run"
        trained(store, out, steps=3)
        path = out / "checkpoint.pt"
        whole, content = path.read_bytes(), checkpoint(out)
        if damage == "list":
            torch.save([1, 2], path)
        elif damage == "lacking":
            torch.save({name: content[name] for name in ("step", "model")}, path)
        else:
            damaged = {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"<!doctype html>"}
            path.write_bytes(damaged[damage])
        with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged") as error:
            trained(store, out)
        assert "Delete it" in error.value.remedy

    def test_with_a_checkpoint_that_holds_code(self, store, tmp_path):
        class Bomb:
            def __reduce__(self) -> tuple:
                return Path.touch, (tmp_path / "exploded",)

        out = tmp_path / "run"
        trained(store, out, steps=3)
        torch.save(checkpoint(out) | {"best": Bomb()}, out / "checkpoint.pt")
        with pytest.raises(CheckpointError, match=r"checkpoint\.pt"):
            trained(store, out)
        assert not (tmp_path / "exploded").exists()

    def test_on_a_device_that_is_not_there(self):
        with (
            pytest.raises(MegaMedicalError, match="cannot use the device 'abacus'") as error,
            joined("abacus"),
        ):
            pass
        assert "cpu" in error.value.remedy
