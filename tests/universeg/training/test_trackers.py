"""Where figures of a run go besides its log, and what they look like there."""

from __future__ import annotations

import sys
import types

import pytest
from PIL import Image

from megamedical.errors import NotInstalled
from universeg.training.clock import about
from universeg.training.config import Config
from universeg.training.curve import draw_curve
from universeg.training.folder import Folder
from universeg.training.trackers import TrackerError, trackers_of


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "first")
    folder.prepare()
    return folder


class Run:
    """What `wandb.init` gives, with what it heard."""

    def __init__(self, **asked) -> None:
        self.asked, self.logged, self.is_over = asked, [], False

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.is_over = True


def test_a_run_that_goes_on_is_the_same_at_weights_and_biases(folder, monkeypatch):
    module = types.ModuleType("wandb")
    module.init = Run
    monkeypatch.setitem(sys.modules, "wandb", module)
    config = Config(wandb="hearts", steps=7)
    (first,) = trackers_of(config, folder, 0)
    first.write(5, {"loss": 0.5})
    first.close()
    (again,) = trackers_of(config, folder, 5)
    one, other = first._run, again._run
    assert one.asked["project"] == "hearts"
    assert one.asked["config"]["steps"] == 7
    assert one.asked["id"] == other.asked["id"]
    assert one.logged == [(5, {"loss": 0.5})]
    assert one.is_over


def test_figures_are_kept_by_mlflow(folder, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder.path}/mlflow.db")
    config = Config(mlflow="hearts", steps=7)
    for step in (5, 10):
        (tracker,) = trackers_of(config, folder, step - 5)
        tracker.write(step, {"loss": 1 / step})
        tracker.close()
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("hearts").experiment_id])
    assert [each.step for each in client.get_metric_history(run.info.run_id, "loss")] == [5, 10]
    assert run.data.params["optimiser.learning_rate"] == "0.0001"


def test_one_that_takes_nothing_is_told_in_a_sentence(folder, monkeypatch):
    def refusing(**_: object):
        raise ValueError("nobody is logged in. A page of advice\nand more")

    for name, maker in (("wandb", "init"), ("mlflow", "MlflowClient")):
        module = types.ModuleType(name)
        setattr(module, maker, refusing)
        monkeypatch.setitem(sys.modules, name, module)
        with pytest.raises(TrackerError) as error:
            trackers_of(Config.model_validate({name: "hearts"}), folder, 0)
        assert error.value.problem.endswith(" takes no figures: nobody is logged in")
        assert error.value.remedy


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_one_that_is_not_installed_is_said(folder, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotInstalled, match=rf"pip install 'megamedical\[{name}\]'"):
        trackers_of(Config.model_validate({name: "hearts"}), folder, 0)


def test_nobody_is_asked_who_was_not_named(folder):
    assert trackers_of(Config(), folder, 0) == []


class TestCurve:
    def test_it_shows_what_the_log_has(self, tmp_path):
        rows = [{"step": step, "loss": 1 / (1 + step / 100)} for step in range(50, 1050, 50)]
        rows += [{"step": s, "dev_dice": s / 2000, "mean_mask_dice": 0.2} for s in (500, 1000)]
        draw_curve(rows, tmp_path / "curve.png")
        with Image.open(tmp_path / "curve.png") as both:
            whole = both.width
        draw_curve(rows[:3], tmp_path / "curve.png")
        with Image.open(tmp_path / "curve.png") as loss:
            assert loss.width * 2 == whole

    def test_of_nothing_there_is_none(self, tmp_path):
        draw_curve([], tmp_path / "curve.png")
        assert not list(tmp_path.iterdir())

    def test_one_point_is_enough(self, tmp_path):
        draw_curve([{"step": 1, "dev_dice": 0.0, "mean_mask_dice": 0.0}], tmp_path / "curve.png")
        assert (tmp_path / "curve.png").exists()


def test_times_are_said_as_people_do():
    assert [about(seconds) for seconds in (40, 100, 9000)] == [
        "about 40 s",
        "about 2 min",
        "about 2.5 h",
    ]
