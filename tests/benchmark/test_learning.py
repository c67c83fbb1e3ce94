"""A network and what learns beside it; budgets; methods of files; devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.method import About, MethodError, Support, Track, make_method
from benchmark.methods.budget import Budget
from benchmark.methods.learning import Tuned, split, with_more
from benchmark.methods.network import Network
from benchmark.methods.supervised import UNetOnSupport, unet_support
from megamedical.errors import MegaMedicalError

SIDE = 32


def discs(count, seed):
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((SIDE, SIDE))
    y, x = rng.uniform(10, 22, (2, count, 1, 1))
    masks = (np.hypot(rows - y, columns - x) < 6).astype(np.float32)
    images = 0.2 + 0.6 * masks + rng.normal(0, 0.02, masks.shape)
    return images.clip(0, 1).astype(np.float32), masks


class Bright(torch.nn.Module):
    """Finds what is as bright as what is labelled in the support, which all queries share."""

    def __init__(self) -> None:
        super().__init__()
        self.steepness = torch.nn.Parameter(torch.tensor(40.0))

    def forward(self, query, images, labels):
        axes = (1, 2, 3, 4)
        meant = (images * labels).sum(axes) / labels.sum(axes).clamp(min=1)
        return self.steepness * (0.2 - (query - meant[:, None, None, None]).abs())


def bright():
    return Network(Bright(), About("bright", "no paper"))


def dice(found, truth):
    found, truth = found > 0.5, truth > 0.5
    return 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))


@pytest.mark.parametrize("more", ["forest", "expect"])
def test_what_stays_as_it_is_finds_and_foresees(more):
    method = with_more(bright(), more)
    assert (method.track, method.shares_support) == (Track.IN_CONTEXT, True)
    assert method.about.name == f"bright+{more}"
    method.fit(Support(*discs(4, 0)), seed=0)
    queries, truth = discs(3, 1)
    found = method.predict(queries)
    assert (found.shape, found.dtype) == (queries.shape, np.float32)
    assert found.min() >= 0
    assert found.max() <= 1
    assert dice(found, truth) > 0.9
    assert method.expected() == pytest.approx(dice(found, truth), abs=0.1)
    method.fit(Support(*discs(1, 0)), seed=0)
    assert method.expected() is None
    assert dice(method.predict(queries), truth) > 0.8


def test_what_is_tuned_has_its_budget_in_its_name():
    method = with_more(bright(), "tune=7s")
    assert isinstance(method, Tuned)
    assert (method.track, method.shares_support) == (Track.TUNED, True)
    assert method.about.name == "bright+tune-7s"
    assert "7 s on cpu" in method.about.departs
    assert with_more(bright(), "budget").about.name == "bright+budget-60s"


@pytest.mark.parametrize("more", ["forest=3s", "expect=3s", "tune=9", "tune=40steps", "budget=0s"])
def test_odd_budgets_are_refused(more):
    with pytest.raises(MethodError):
        with_more(bright(), more)


def test_a_plus_in_a_path_is_part_of_it():
    assert split("runs/a+b.safetensors") == ("runs/a+b.safetensors", "")
    assert split("runs/a+b.safetensors+tune=9s") == ("runs/a+b.safetensors", "tune=9s")


def test_the_rival_learns_from_the_support_alone_and_is_named_by_its_budget():
    assert unet_support().about.name == "unet-support-600steps"
    assert unet_support("60s").about.name == "unet-support-60s"
    method = UNetOnSupport(features=(8, 16, 16), budget=Budget(24, "steps"), batch=4, evaluations=4)
    assert (method.track, method.shares_support, method.uses_pool) == (Track.TUNED, True, False)
    method.fit(Support(*discs(6, 0)), seed=0)
    queries, truth = discs(3, 1)
    assert dice(method.predict(queries), truth) > 0.8


def test_a_budget_of_seconds_ends(monkeypatch):
    now = iter(np.arange(0, 100, 0.3))
    monkeypatch.setattr("benchmark.methods.budget.time.perf_counter", lambda: next(now))
    spent = list(Budget.of("3s").spent())
    assert spent == sorted(spent)
    assert len(spent) == 9
    assert spent[-1] < Budget.of("3s").parts
    assert list(Budget.of("3steps").spent()) == [1, 2, 3]


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(MegaMedicalError, match="cannot use the device 'toaster'"):
        bright().to("toaster")
    method = bright()
    method.to("auto")
    assert method.device.partition(":")[0] in ("cpu", "cuda")
    assert not torch.backends.cudnn.allow_tf32


OWN = """
from dataclasses import dataclass
from benchmark import About, Method
from beside import level

@dataclass
class Level(Method):
    told: str = level

    @property
    def about(self):
        return About(f"level-{self.told}", follows="no paper")

    def fit(self, support, seed):
        pass

    def predict(self, queries):
        return (queries > float(self.told)).astype("float32")
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "beside.py").write_text('level = "0.5"\n')
    (tmp_path / "my.py").write_text(OWN)
    return tmp_path / "my.py"


def test_a_method_of_a_file(own):
    assert make_method(f"{own}:Level").about.name == "level-0.5"
    assert make_method(f"{own}:Level:0.3").about.name == "level-0.3"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("{}", "No class of .*my.py is named"),
        ("{}:Other", "has no Other"),
        ("{}:About", "not a method|cannot be made"),
        ("nowhere.py:Level", "There is no file nowhere.py"),
    ],
)
def test_what_a_file_does_not_have_is_told(own, asked, said):
    with pytest.raises(MethodError, match=said):
        make_method(asked.format(own))


def test_a_file_that_cannot_be_run_is_told(tmp_path):
    (tmp_path / "bad.py").write_text("import no_such_package\n")
    with pytest.raises(MethodError, match=r"bad\.py cannot be run: ModuleNotFoundError"):
        make_method(f"{tmp_path / 'bad.py'}:Level")
