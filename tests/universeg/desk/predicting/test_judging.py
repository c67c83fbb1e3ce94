"""How well labelled scans are found from the others, and what that says of the rest."""

import numpy as np
import pytest
import torch
from made_desk import disc, open_desk, patch, write_pictures
from torch import nn

from tests.universeg.prediction.test_segmenter import Bright
from universeg.desk.overview import expected_dice, trust_in
from universeg.desk.predicting.agenda import Agenda
from universeg.desk.predicting.judging import judge
from universeg.desk.predicting.tasks import Judged, Ready
from universeg.tuning.in_context import InContext
from universeg.tuning.support import Support

SIZE = 32


def shown_of(network, radii):
    """Discs of some radii, of which the images are bright where the masks are."""
    masks = np.stack([disc((SIZE, SIZE), (16, 16), radius) for radius in radii])
    images = 0.1 + 0.8 * masks.astype(np.float32)
    return InContext(network, Support.of_pictures(images, masks.astype(np.float32)))


def alive():
    pass


def test_what_is_found_well_from_the_others_is_expected_to_be():
    judged = judge(shown_of(Bright(), [6, 8, 10]), False, None, alive)
    assert judged.labels[1].scans == 3
    assert judged.labels[1].dice > 0.95
    assert len(judged.scans) == 3
    assert all(dice > 0.95 for dice, _ in judged.scans)


class Sure(nn.Module):
    """Finds it everywhere, without a doubt."""

    def __init__(self) -> None:
        super().__init__()
        self.any = nn.Parameter(torch.zeros(1))

    def forward(self, query, images, masks):  # noqa: ARG002
        return torch.full_like(query, 20.0)


def test_a_network_that_is_sure_and_wrong_is_not_believed():
    judged = judge(shown_of(Sure(), [4, 6, 8]), False, None, alive)
    dice, own = np.mean(judged.scans, axis=0)
    assert dice < 0.3
    assert own > 0.99
    assert judged.labels[1].warning


def test_one_scan_says_nothing():
    assert judge(shown_of(Bright(), [6]), False, None, alive) == Judged()


def test_it_is_broken_off_where_something_is_more_urgent():
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        judge(shown_of(Bright(), [6, 8]), False, None, stop)


@pytest.fixture
def desk(tmp_path):
    desk = open_desk(write_pictures(tmp_path / "s", 4), tmp_path / "o")
    for identity in [*desk.records][:2]:
        desk.edit(identity, 0, ("2d", 0), [patch(disc())])
        desk.finish(identity, 1)
    return desk


def predict_all(desk, agenda):
    """As if the process had found the same everywhere; what is asked for after that."""
    while not (task := agenda.next_task()).judges:
        for identity in task.scans:
            desk.records[identity].fail("nothing", agenda._signature(task))
        agenda.ended(task)
    return task


def test_it_is_judged_when_all_is_predicted_and_again_when_more_is_known(desk):
    agenda = Agenda(desk)
    agenda.begun(Ready())
    task = predict_all(desk, agenda)
    assert not agenda.is_outdated(task)
    agenda.judged(task, Judged(scans=[(0.4, 0.8), (0.6, 1.0)]))
    agenda.ended(task)
    assert agenda.next_task() is None

    (*_, third, _) = desk.records
    desk.edit(third, 0, ("2d", 0), [patch(disc())])
    desk.finish(third, 1)
    assert agenda.is_outdated(task)
    assert predict_all(desk, agenda).judges


def test_the_expected_dice_is_what_left_out_scans_say_of_the_networks_own(desk):
    (*_, last) = desk.records.values()
    last.standing.confidence = 0.9
    assert expected_dice(last.standing, trust_in(desk)) == 0.9
    desk.judged = Judged(scans=[(0.4, 0.8), (0.5, 1.0)])
    assert expected_dice(last.standing, trust_in(desk)) == 0.45


def test_a_scan_that_somebody_waits_for_comes_before_others(desk):
    agenda = Agenda(desk)
    agenda.begun(Ready())
    task = agenda.next_task()
    assert not agenda.is_outdated(task)
    (*_, last) = desk.records
    desk.records[last].standing.confidence = 1.0
    one = agenda._task([*desk.records][2:3])
    agenda.looks_at(last)
    assert agenda.is_outdated(one)
    assert agenda.next_task().scans == (last,)
