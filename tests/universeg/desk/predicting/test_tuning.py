"""The network goes on learning: what is kept of it, and what becomes of it later."""

import time
from dataclasses import replace

import made_tunings
import numpy as np
import pytest
import torch
from made_desk import disc, entered, open_desk, patch, write_pictures

from megamedical.errors import MegaMedicalError
from universeg.desk.desk import TunedNote
from universeg.desk.predicting import tuner
from universeg.desk.predicting.agenda import Agenda
from universeg.desk.predicting.learnt import Learnt
from universeg.desk.predicting.tasks import Ready, Settings, Tuning, Workplace
from universeg.desk.predicting.tuner import tuned
from universeg.desk.predicting.tuning import Tunings
from universeg.network.unet import UNet
from universeg.network.universeg import UniverSeg
from universeg.tuning.fitting import fit
from universeg.tuning.in_context import InContext
from universeg.tuning.support import Support
from universeg.weights.models import save as save_weights

PATIENT = 60  # seconds


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(small(), path)
    return path


def small():
    return UniverSeg(encoder_blocks=[8, 8], decoder_blocks=[8])


def desk_of(tmp_path, looked_at=2):
    desk = open_desk(write_pictures(tmp_path / "s", 3), tmp_path / "o")
    for identity in [*desk.records][:looked_at]:
        desk.edit(identity, 0, ("2d", 0), [patch(disc())])
        desk.finish(identity, 1)
    return desk


def place_of(desk, weights="none"):
    return Workplace(desk.entries, desk.work, None, Settings(str(weights), plane="2d"))


def asked_of(desk):
    return Tuning(1, 1.0, desk.support(), {1: "cell"}, "2d")


def ended(tunings):
    until = time.monotonic() + PATIENT
    while (told := tunings.told())["running"]:
        assert time.monotonic() < until
        time.sleep(0.02)
    return told


class TestWhatIsKept:
    @pytest.mark.parametrize("gain", [0.1, 0.0, -0.1])
    def test_only_what_is_better(self, tmp_path, weights, monkeypatch, gain):
        desk = desk_of(tmp_path)
        place = place_of(desk, weights)

        def fitted(*given: object, **options: object):
            assert options["budget"] == 1.0
            return replace(fit(*given, **options | {"budget": 0.01}), gain=gain)

        monkeypatch.setattr(tuner, "fit", fitted)
        said = tuned(place, asked_of(desk))
        assert (said.gain, said.labels) == (max(0.0, gain), [1])
        assert place.tuned(1).exists() == (gain > 0)

    def test_of_one_scan_nothing_is_learnt(self, tmp_path, weights):
        desk = desk_of(tmp_path, 1)
        with pytest.raises(MegaMedicalError, match="leaves nothing to learn from"):
            tuned(place_of(desk, weights), asked_of(desk))


class TestLearnt:
    @pytest.fixture
    def learnt(self):
        torch.manual_seed(1)
        return Learnt(
            ["in context", "tuned", "branch"], [1, 2], 0.1, small(), UNet(2, True, [0.5] * 2)
        )

    def shown(self, labels):
        rng = np.random.default_rng(0)
        images = rng.random((3, 32, 32), dtype=np.float32)
        masks = (rng.random((3, 32, 32)) < 0.5).astype(np.float32)
        (example, *_) = Support.of_pictures(images, masks).examples
        both = dict.fromkeys(labels, example.masks[1])
        examples = [replace(example, masks=both)]
        torch.manual_seed(0)
        names = {value: str(value) for value in labels}
        return InContext(small().eval(), Support(examples, names, 4, 0))

    def test_it_finds_the_same_after_it_was_read(self, learnt, tmp_path):
        shown = self.shown([1, 2])
        learnt.save(tmp_path / "a.safetensors", "weights")
        again = Learnt.load(tmp_path / "a.safetensors", shown.network, "weights", "cpu")
        query = np.random.default_rng(1).random((2, 32, 32), dtype=np.float32)
        for each in (learnt.network, learnt.branch):
            each.eval()
        np.testing.assert_array_equal(
            again.finder(shown, "cpu").logits(query), learnt.finder(shown, "cpu").logits(query)
        )
        assert again.gain == learnt.gain

    def test_a_label_that_it_has_not_learnt_is_found_all_the_same(self, learnt):
        shown = self.shown([1, 2, 3])
        query = np.random.default_rng(1).random((2, 32, 32), dtype=np.float32)
        assert not learnt.knows(shown)
        assert learnt.finder(shown, "cpu").logits(query).shape == (2, 3, 32, 32)
        branch = replace(learnt, chosen=["branch"], network=None)
        assert branch.finder(shown, "cpu") is shown

    def test_other_weights_and_damage_are_refused(self, learnt, tmp_path):
        path, network = tmp_path / "a.safetensors", small()
        learnt.save(path, "weights")
        with pytest.raises(MegaMedicalError, match="other weights"):
            Learnt.load(path, network, "others", "cpu")
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(MegaMedicalError, match="cannot be read"):
            Learnt.load(path, network, "weights", "cpu")
        with pytest.raises(MegaMedicalError, match="cannot be read"):
            Learnt.load(tmp_path / "none", network, "weights", "cpu")


class TestTunings:
    def test_a_full_disk_ends_it_in_words(self, tmp_path, monkeypatch):
        desk = desk_of(tmp_path)
        tunings = Tunings(desk, place_of(desk), made_tunings.brings)

        def no_room(note):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(desk, "set_tuned", no_room)
        tunings.begin(1.0, 2)
        told = ended(tunings)
        assert "No space left" in told["problem"] and told["last"] is told["kept"] is None

    def test_what_pays_is_used_and_can_be_taken_back(self, tmp_path):
        desk = desk_of(tmp_path)
        tunings = Tunings(desk, place_of(desk), made_tunings.brings)
        agenda = Agenda(desk)
        agenda.begun(Ready())
        before = agenda.next_task()
        tunings.begin(1.0, 2)
        told = ended(tunings)
        assert told["kept"] == {"before": 0.5, "after": 0.75} and told["knows"]
        assert agenda.is_outdated(before)  # all is predicted anew, by what was learnt
        assert agenda.next_task().tuned == 1
        again = open_desk(tmp_path / "s", tmp_path / "o")
        assert again.notes.tuned.number == 1  # it is there after a restart

        desk.add_label("another")
        assert not tunings.told()["knows"]
        tunings.back()
        assert agenda.next_task().tuned == 0
        assert not place_of(desk).tuned(1).exists()
        tunings.begin(1.0, 2)
        ended(tunings)
        assert desk.notes.tuned.number == 2  # no number comes twice

    def test_what_does_not_pay_changes_nothing(self, tmp_path):
        desk = desk_of(tmp_path)
        tunings = Tunings(desk, place_of(desk), made_tunings.brings_nothing)
        tunings.begin(1.0, 2)
        told = ended(tunings)
        assert told["last"] == {"before": 0.5, "after": 0.25}
        assert (told["kept"], desk.notes.tuned) == (None, None)

    def test_a_process_that_dies_is_told(self, tmp_path):
        desk = desk_of(tmp_path)
        tunings = Tunings(desk, place_of(desk), made_tunings.dies)
        tunings.begin(1.0, 2)
        assert "ended suddenly" in ended(tunings)["problem"]

    def test_what_was_tuned_and_cannot_be_used_is_said_and_left(self, tmp_path):
        desk = desk_of(tmp_path)
        desk.set_tuned(TunedNote(number=1, before=None, after=None, gain=0.1, labels=[1]))
        agenda = Agenda(desk)
        agenda.spoilt(tuner_spoilt := made_tunings.Spoilt("What was tuned cannot be read"))
        assert agenda.problem == tuner_spoilt.problem
        assert desk.notes.tuned is None


class TestAsked:
    def test_one_labelled_scan_is_too_few(self, tmp_path):
        client = entered(desk_of(tmp_path, 1))
        answer = client.post("/api/tuning", json={"seconds": 60})
        assert (answer.status_code, answer.json()["problem"]) == (
            400,
            "One labelled scan leaves nothing to learn from",
        )

    @pytest.mark.parametrize("seconds", [0, -1, 1e9, "NaN", None, [1]])
    def test_a_tuning_is_not_endless(self, tmp_path, seconds):
        answer = entered(desk_of(tmp_path)).post("/api/tuning", json={"seconds": seconds})
        assert answer.status_code == 422
