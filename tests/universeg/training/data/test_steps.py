"""Steps: how many episodes of which size, of the store or drawn; from the number alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from universeg.training.config import Config, ConfigError, resolve
from universeg.training.data.steps import step_of
from universeg.training.team import Team

ALONE = Team(0, 1, torch.device("cpu"))
SIZES = {1: 1, 4: 2, 16: 1}


def config(**changes):
    return Config.model_validate({"batch_size": 8, "support_size": 4} | changes)


def steps(settings, count, team=ALONE):
    return [step_of(settings, number, team) for number in range(count)]


def test_a_step_of_the_store_alone_has_the_numbers_that_follow():
    first, second = steps(config(), 2)
    assert (first.read, second.read) == (list(range(8)), list(range(8, 16)))
    assert (first.numbers, first.support_size) == (first.read, 4)
    assert not first.drawn


def test_support_sizes_come_as_often_as_is_set():
    found = Counter(each.support_size for each in steps(config(support_sizes=SIZES), 400))
    assert set(found) == set(SIZES)
    for size, weight in SIZES.items():
        assert found[size] / 400 == pytest.approx(weight / 4, abs=0.08)


def test_as_many_episodes_as_fill_the_budget_of_pairs():
    for each in steps(config(support_sizes=SIZES, pairs=20), 30):
        assert len(each.numbers) == {1: 8, 4: 5, 16: 1}[each.support_size]
    assert len(steps(config(pairs=2), 1)[0].numbers) == 1


def test_no_number_comes_twice():
    settings = config(support_sizes=SIZES, pairs=20, drawn={"share": 0.5})
    numbers = [number for each in steps(settings, 50) for number in each.numbers]
    assert len(set(numbers)) == len(numbers)


def test_drawn_tasks_have_their_share_and_families_theirs():
    settings = config(drawn={"share": 0.4, "tubes": 1, "cells": 0})
    counts = Counter()
    for each in steps(settings, 300):
        assert len(each.drawn) <= 2
        counts[""] += len(each.stored)
        counts.update({family: len(numbers) for family, numbers in each.drawn.items()})
    assert 1 - counts[""] / counts.total() == pytest.approx(0.4, abs=0.02)
    drawn = counts.total() - counts[""]
    for family, share in settings.drawn.shares.items():
        assert counts[family] / drawn == pytest.approx(share, abs=0.07)
    assert "cells" not in counts


def test_what_is_made_of_real_episodes_is_read():
    only = dict.fromkeys(("shapes", "tubes", "trees", "cells", "objects", "textures", "places"), 0)
    (each,) = steps(config(drawn={"share": 1, **only}), 1)
    assert each.stored == []
    assert sorted(each.read) == sorted(each.numbers) == list(range(8))


@pytest.mark.parametrize("pairs", [None, 20])
def test_a_team_shares_a_step(pairs):
    settings = config(support_sizes=SIZES, pairs=pairs, drawn={"share": 0.5})
    for number in range(20):
        parts = [step_of(settings, number, Team(rank, 2, torch.device("cpu"))) for rank in (0, 1)]
        assert len(parts[0].numbers) == len(parts[1].numbers) > 0
        assert parts[0].support_size == parts[1].support_size
        assert not {*parts[0].numbers} & {*parts[1].numbers}


def test_impossible_shares_are_refused():
    for change in ("drawn.share=1.5", "support_sizes={0: 1}", "drawn.ducks=1", "minutes=0"):
        with pytest.raises(ConfigError):
            resolve("base", changes=[change])
