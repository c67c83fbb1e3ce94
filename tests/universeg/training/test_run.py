"""Runs: they learn, leave what they say, go on after any death, and stop with words."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import socket
import sys
import types
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import own_models
import pytest
import torch
from PIL import Image
from tiny_store import Discs, write_store

from megamedical import open_store
from megamedical.errors import MegaMedicalError
from megamedical.files.checksums import sha256_of
from megamedical.files.locking import InUseError
from megamedical.reporting.progress import Silence
from megamedical.store.sampling.episodes import EpisodeSampler
from megamedical.store.sampling.tasks import TaskChoice, TaskError, choose_tasks
from universeg.training import command, learner, run
from universeg.training.augmentation import Augmentation
from universeg.training.checkpoint import CheckpointError
from universeg.training.clock import PHASES
from universeg.training.config import Config, load_config, save_config
from universeg.training.data import opening
from universeg.training.data.cache import open_arrays
from universeg.training.data.loading import Reader
from universeg.training.data.stores import joined as joined_stores
from universeg.training.evaluation import Score
from universeg.training.folder import Folder
from universeg.training.run import TrainingError, train
from universeg.training.team import Team, joined
from universeg.weights.files import read_card
from universeg.weights.models import ModelError, load_model

ALONE = Team(0, 1, torch.device("cpu"))
ROWS_EVERY = 4  # steps; not a multiple of those between checkpoints
REFUSED = 7  # exit code
PATIENCE = 120  # seconds
SMALL = {"encoder_blocks": [4, 4], "decoder_blocks": [4]}
DROPPING = {"model": "line", "architecture": {"dropout": 0.5}}

multiprocessing.get_context("forkserver").set_forkserver_preload(
    ["universeg.training.run", "torch._dynamo", "pandas", "zarr", "pytest"]
)


class Heard(Silence):
    """Remembers the losses and the lines, and may kill the process after a step."""

    def __init__(self, last=None) -> None:
        self.losses, self.said, self.lines, self._last = [], [], [], last

    @contextmanager
    def stage(self, name, total, unit):  # noqa: ARG002
        def done(what=""):
            self.said.append(what)
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
    timed = {"examples_per_second", *PHASES}
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
        assert sorted(path.name for path in out.iterdir() if path.name != ".lock") == [
            "best.safetensors",
            "checkpoint.pt",
            "config.yaml",
            "curve.png",
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
        assert list(outcome.shares) == list(PHASES)
        assert sum(outcome.shares.values()) == pytest.approx(1)
        assert outcome.shares["network"] > 0
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
        wanted = checkpoint(tmp_path / "shorter")["learner"]["model"]
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

    def test_adds_a_loss_that_a_model_has_of_its_own(self, store, tmp_path):
        heard = Heard()
        outcome = trained(store, tmp_path / "run", listener=heard, model="ownloss", architecture={})
        assert 9 <= heard.losses[0] <= 10  # (0 - 3)² and soft Dice
        assert load_model(outcome.weights).own > 0

    def test_is_compiled_for_training_alone(self, store, tmp_path, monkeypatch):
        seen = []

        def compiled(model):
            return lambda *inputs: seen.append(inputs[0].shape) or model(*inputs)

        monkeypatch.setattr(torch, "compile", compiled)
        trained(store, tmp_path / "run", compile=True)
        assert seen == [(2, 1, 16, 16)] * 9

    def test_waits_for_the_device_once_a_step(self, store, monkeypatch):
        arrays = open_arrays(store, store.attributes.groups)
        tasks = choose_tasks(store, TaskChoice())
        batch = Reader(arrays, ALONE.device).read([EpisodeSampler(tasks.train, 2, 0)[0]])
        learns = learner.Learner(settings(), ALONE)
        monkeypatch.setattr(torch.optim.AdamW, "step", lambda _: None)
        waits = []
        for name in ("item", "tolist", "cpu", "__bool__", "__float__"):
            wait = getattr(torch.Tensor, name)
            monkeypatch.setattr(
                torch.Tensor,
                name,
                lambda own, wait=wait, name=name: waits.append(name) or wait(own),
            )
        learns.learn(batch, 0)
        assert waits == ["tolist"]

    def test_says_no_dice_before_there_is_any(self, store, tmp_path):
        heard = Heard()
        trained(store, tmp_path / "run", listener=heard)
        assert ["dev Dice" in said for said in heard.said] == [False] * 5 + [True] * 4

    def test_counts_all_that_keep_and_read_slices_on_the_machine(
        self, store, tmp_path, monkeypatch
    ):
        counted = []

        def nowhere(asked, needed, device, workers, processes):
            counted.append((workers, processes))
            return "disk", "as asked"

        monkeypatch.setattr(opening, "choose_cache", nowhere)
        beside = Team(0, 1, torch.device("cpu"), beside=3)
        trained(store, tmp_path / "run", beside, workers=1, steps=1)
        assert counted == [(1, 3)]

    def test_closes_the_log_for_tensorboard(self, store, tmp_path, monkeypatch):
        written = []

        class Writer:
            def __init__(self, folder, purge_step) -> None:
                written.append((folder, purge_step))

            def add_scalar(self, name, value, step):  # noqa: ARG002
                written.append((name, step))

            def close(self):
                written.append("closed")

        module = types.ModuleType("torch.utils.tensorboard")
        module.SummaryWriter = Writer
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
        out = tmp_path / "run"
        trained(store, out, tensorboard=True)
        assert written[0] == (out / "tensorboard", 1)
        assert ("dev_dice", 9) in written
        assert written[-1] == "closed"
        written.clear()
        with pytest.raises(TrainingError):
            trained(store, out.with_name("bad"), tensorboard=True, model="noloss", architecture={})
        assert written[-1] == "closed"

    def test_changes_its_learning_rate_as_asked(self):
        config = settings(steps=100, optimiser={"warm_up": 4, "decay": "none"})
        rates = [learner.pace(config, step) for step in (0, 1, 3, 4, 99)]
        assert rates == [0.25, 0.5, 1, 1, 1]
        config = settings(steps=100, optimiser={"decay": "cosine"})
        rates = [learner.pace(config, step) for step in (0, 25, 50, 100, 120)]
        assert rates == pytest.approx([1, 0.5 + 0.5**1.5, 0.5, 0, 0])

    def test_can_be_had_as_the_command_has_it(self, store, tmp_path, capsys, monkeypatch):
        file = tmp_path / "mine.yaml"
        save_config(settings(), file)
        kept = []
        monkeypatch.setattr(command, "keep_freed_memory", lambda: kept.append(True))
        changes = ["steps=2", "tasks.unseen=['plain/*']"]
        outcome = command.run([str(store.location)], tmp_path / "run", "demo", file, changes, "cpu")
        said = capsys.readouterr().out
        assert "Dice on the dev split of 2 unseen tasks:" in said
        assert f"{outcome.dice:.3f} of the network" in said
        assert f"{outcome.mean_mask:.3f} of the mean mask of the support" in said
        assert kept == [True]
        wanted = settings(steps=2, tasks={"unseen": ["plain/*"]})
        assert load_config(tmp_path / "run" / "config.yaml") == wanted


def die_after(step, store, out, config):
    """Train until a step, then be killed as by `kill -9`."""
    torch.set_num_threads(1)
    run._LOGGED = ROWS_EVERY
    train(config, open_store(store), out, ALONE, Heard(last=step))


def die_while_saving(store, out, config):
    """Be killed when half of the second checkpoint is written."""
    write, checkpoints = Path.write_bytes, []

    def half(path, content):
        checkpoints.extend([path] * ("checkpoint" in path.name))
        if len(checkpoints) == 2:
            write(path, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, content)

    Path.write_bytes = half
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
        assert_equal(*(checkpoint(tmp_path / out)["learner"] for out in ("short", "long")))

    def test_says_that_the_learning_rate_follows_another_number_of_steps(self, store, tmp_path):
        out, heard = tmp_path / "run", Heard()
        falling = {"optimiser": {"learning_rate": 1e-2, "decay": "cosine"}}
        trained(store, out, steps=3, **falling)
        trained(store, out, steps=3, listener=heard, **falling)
        assert "learning rate" not in "".join(heard.lines)
        trained(store, out, steps=6, listener=heard, **falling)
        assert "The learning rate follows the new number of steps, 6." in heard.lines
        (group,) = checkpoint(out)["learner"]["optimiser"]["param_groups"]
        assert group["lr"] == 1e-2 * learner.pace(settings(steps=6, **falling), 5)

    def test_leaves_nothing_unfinished_behind(self, store, tmp_path):
        out = tmp_path / "run"
        trained(store, out, steps=3)
        unfinished = [
            out / name
            for name in (".checkpoint.pt.7", ".best.safetensors.123", "pictures/.0000003.png.9")
        ]
        for path in (*unfinished, out / ".mine"):
            path.touch()
        trained(store, out, steps=3)
        assert sorted(out.rglob(".*")) == [out / ".lock", out / ".mine"]


def take_part(rank, port, store, outs, *configs: Config):
    """Be one of two processes that train together, on machines of their own."""
    torch.set_num_threads(1)
    run._LOGGED = ROWS_EVERY
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    with joined("cpu") as team:
        assert team.beside == 1
        for config in configs:
            try:
                train(config, open_store(store), outs[rank], team, Silence())
            except CheckpointError:
                sys.exit(REFUSED)


def together(store, outs, *configs: Config):
    """The exit codes of two processes that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = port, str(store.location), outs
    processes = [started(take_part, rank, *where, *configs) for rank in range(2)]
    for process in processes:
        process.join(PATIENCE)
        process.kill()  # one that waits for the other would do so for ever
    return [process.exitcode for process in processes]


class TestWhatMakesAStep:
    DRAWING: ClassVar = {
        "support_sizes": {1: 1, 3: 1},
        "pairs": 6,
        "batch_size": 4,
        "running_mean": 0.9,
        "drawn": {"share": 0.6},
    }

    def test_a_run_goes_on_with_the_tasks_and_the_mean_that_would_have_come(self, store, tmp_path):
        trained(store, tmp_path / "unbroken", **self.DRAWING)
        trained(store, tmp_path / "run", steps=6, **self.DRAWING)
        trained(store, tmp_path / "run", **self.DRAWING)
        found, wanted = (checkpoint(tmp_path / out) for out in ("run", "unbroken"))
        assert_equal(found["learner"], wanted["learner"])
        assert wanted["learner"]["mean"].keys() == wanted["learner"]["model"].keys()

    def test_the_same_run_gives_the_same_file(self, store, tmp_path):
        first, second = (trained(store, tmp_path / name, **self.DRAWING) for name in "ab")
        assert first.weights.read_bytes() == second.weights.read_bytes()

    def test_the_running_mean_is_what_is_judged_and_saved(self, store, tmp_path):
        outcome = trained(store, tmp_path / "run", steps=5, running_mean=0.9)
        state = checkpoint(tmp_path / "run")["learner"]
        assert_equal(dict(load_model(outcome.weights).state_dict()), state["mean"])
        name = "out_conv.conv.weight"
        assert not torch.equal(state["mean"][name], state["model"][name])

    def test_the_running_mean_is_one(self):
        network = torch.nn.BatchNorm1d(1)
        mean = learner.RunningMean(network, 0.5)
        expected = network.weight.item()
        for step, value in enumerate((4.0, -2.0, 3.0)):
            kept = min(0.5, (1 + step) / (10 + step))
            expected = kept * expected + (1 - kept) * value
            torch.nn.init.constant_(network.weight, value)
            network.num_batches_tracked += 1
            mean.update(network, step)
        assert mean.network.weight.item() == pytest.approx(expected)
        assert mean.network.num_batches_tracked == 3

    def test_a_run_by_the_clock_ends_in_time_and_slows_down(self, store, tmp_path, monkeypatch):
        seconds = iter(range(0, 10**6, 10))
        monkeypatch.setattr(run.Clock, "spent", property(lambda _: float(next(seconds))))
        falling = {"optimiser": {"learning_rate": 1e-2, "decay": "cosine"}}
        heard = Heard()
        outcome = trained(
            store, tmp_path / "run", listener=heard, steps=10**6, minutes=1, **falling
        )
        assert len(heard.losses) == 7  # after 0, 10, ... 60 seconds
        assert "1.0 of 1 minutes" in heard.said[-1]
        (group,) = checkpoint(tmp_path / "run")["learner"]["optimiser"]["param_groups"]
        assert group["lr"] == pytest.approx(0, abs=1e-9)
        assert read_card(outcome.weights).step in (5, 7)
        again = Heard()
        trained(store, tmp_path / "run", listener=again, steps=10**6, minutes=1, **falling)
        assert again.losses == []

    def test_several_stores_are_learnt_from(self, store, tmp_path):
        other = write_store(tmp_path / "store", Discs("further"))
        outcome = trained(joined_stores([store, other]), tmp_path / "run")
        assert set(read_card(outcome.weights).groups) == {
            "plain/discs",
            "other/discs",
            "further/discs",
        }


def hold(out, told):
    """Be a run that goes on for ever."""
    with Folder(out).held():
        told.set()
        signal.pause()


class TestTwoRunsInOneFolder:
    def test_the_second_is_told_who_is_there_until_that_has_died(self, store, tmp_path):
        out, told = tmp_path / "run", multiprocessing.get_context("forkserver").Event()
        process = started(hold, out, told)
        assert told.wait(PATIENCE)
        with pytest.raises(InUseError, match=rf"{out} is in use: training, process {process.pid}"):
            trained(store, out)
        assert sorted(path.name for path in out.iterdir()) == [".lock", ".lock.holder"]
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        trained(store, out, steps=2)
        assert (out / "best.safetensors").exists()


class TestTwoProcesses:
    def test_learn_what_one_would_though_one_of_them_alone_has_the_folder(self, store, tmp_path):
        one, two, elsewhere = (tmp_path / name for name in ("one", "two", "elsewhere"))
        elsewhere.mkdir()
        others = '{"step": 99}\n'
        (elsewhere / "log.jsonl").write_text(others)
        shorter, config = (settings(steps=steps, batch_size=4) for steps in (3, 6))
        assert together(store, (two, elsewhere), shorter, config) == [0, 0]
        assert [path.name for path in elsewhere.iterdir()] == ["log.jsonl"]
        assert (elsewhere / "log.jsonl").read_text() == others
        trained(store, one, steps=3, batch_size=4)
        trained(store, one, steps=6, batch_size=4)
        wanted, found = (checkpoint(out) for out in (one, two))
        for name, weights in wanted["learner"]["model"].items():  # Adam amplifies what is rounded
            torch.testing.assert_close(found["learner"]["model"][name], weights, atol=1e-5, rtol=0)
        assert found["best"] == pytest.approx(wanted["best"], abs=1e-6)
        for row, expected in zip(rows(two), rows(one), strict=True):
            assert row == pytest.approx(expected, abs=1e-6)

    def test_stop_together_where_the_leader_cannot_go_on(self, store, tmp_path):
        two, elsewhere = tmp_path / "two", tmp_path / "elsewhere"
        trained(store, two, steps=3)
        assert together(store, (two, elsewhere), settings(seed=1)) == [REFUSED, REFUSED]
        assert not elsewhere.exists()

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
            weights = stopped["learner"]["model"][name]
            assert weights.isfinite()
            assert torch.equal(weights, before["learner"]["model"][name])


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

    def test_for_fewer_steps_than_it_has_taken(self, store, tmp_path):
        trained(store, tmp_path / "run", steps=3)
        with pytest.raises(CheckpointError, match="has taken 3 steps") as error:
            trained(store, tmp_path / "run", steps=2)
        assert "more than 3" in error.value.remedy

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
            torch.save({name: content[name] for name in ("step", "learner")}, path)
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


class TestGoingOnFromWeights:
    def test_begins_as_good_as_they_are_and_remembers_what_they_saw(self, store, tmp_path):
        first = train(settings(steps=5), store, tmp_path / "first", ALONE, Silence())
        both = write_store(tmp_path / "another", Discs("later"))
        heard = Heard()
        outcome = train(
            settings(steps=1, begin_with=str(first.weights), optimiser={"learning_rate": 1e-9}),
            both,
            tmp_path / "second",
            ALONE,
            heard,
        )
        before, after = (load_model(each.weights).state_dict() for each in (first, outcome))
        for name, tensor in before.items():
            torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=0)
        assert set(read_card(outcome.weights).groups) == {
            "later/discs",
            *read_card(first.weights).groups,
        }
        assert read_card(outcome.weights).settings["begin_with"] == sha256_of(first.weights)
        assert str(tmp_path).encode() not in outcome.weights.read_bytes()

    def test_weights_of_another_network_are_refused(self, store, tmp_path):
        first = train(settings(steps=1), store, tmp_path / "first", ALONE, Silence())
        other = settings(
            architecture={"encoder_blocks": [4, 6], "decoder_blocks": [4]},
            begin_with=str(first.weights),
        )
        with pytest.raises(MegaMedicalError, match="is not for this network"):
            train(other, store, tmp_path / "second", ALONE, Silence())


def test_a_network_that_finds_nothing_any_more_is_told(store, tmp_path, monkeypatch):
    dice = iter([0.5, 0.0, 0.0])
    monkeypatch.setattr(run, "judge", lambda *_: [Score("kidney", "plain", next(dice), 0.4)])
    heard = Heard()
    train(settings(steps=10), store, tmp_path / "out", ALONE, heard)
    assert sum("finds nothing any more" in line for line in heard.lines) == 1
