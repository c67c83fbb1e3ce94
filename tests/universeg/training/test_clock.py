"""The clock: what time went to, by a clock that the test moves."""

from __future__ import annotations

import pytest
import torch

from universeg.training import clock
from universeg.training.clock import PHASES, Clock


@pytest.fixture
def at(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])

    def pass_by(seconds):
        now[0] += seconds

    return pass_by


def test_shares_are_of_the_time_of_all_phases(at):
    kept = Clock(torch.device("cpu"))
    for _ in range(3):
        for phase, seconds in zip(PHASES, (1, 2, 3, 13, 1), strict=True):
            at(seconds)
            kept.mark(phase)
        kept.tick(10)
    assert kept.shares == pytest.approx(
        dict(zip(PHASES, (0.05, 0.1, 0.15, 0.65, 0.05), strict=True))
    )
    assert kept.rate == 0.5
    assert kept.spent == 60
    assert str(kept) == "0.5 episodes/s"


def test_what_is_done_while_it_stands_still_takes_no_time(at):
    kept = Clock(torch.device("cpu"), before=100)
    at(1)
    kept.mark("network")
    with kept.stopped():
        at(50)
    at(1)
    kept.mark("reading")
    kept.tick(4)
    assert kept.spent == 102
    assert kept.rate == 2
    assert kept.figures() == pytest.approx(
        {"examples_per_second": 2, "reading": 0.5, "drawing": 0, "augmenting": 0, "network": 0.5}
        | {"writing": 0}
    )


def test_a_gpu_is_asked_only_for_what_it_has_done(monkeypatch):
    events = []

    class Event:
        def __init__(self, enable_timing) -> None:
            assert enable_timing
            self.at, self.done = len(events), False
            events.append(self)

        def record(self, stream):
            assert stream == "stream"

        def query(self):
            return self.done

        def elapsed_time(self, later):
            assert self.done
            assert later.done
            return 1000.0 * (later.at - self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: "stream")
    kept = Clock(torch.device("cuda"))
    kept.mark("reading")
    kept.mark("network")
    for event in events[:2]:
        event.done = True
    kept.tick(1)
    assert kept.shares["reading"] == 1  # the network is still at work
    events[2].done = True
    kept.tick(1)
    assert kept.shares["reading"] == kept.shares["network"] == 0.5
