"""What the network is shown, and what becomes of what it finds, without its process."""

import json
import multiprocessing
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_desk import disc, open_desk, patch, write_pictures, write_volumes
from PIL import Image

from megamedical.task_id import slug
from tests.universeg.prediction.test_segmenter import Bright, Echo
from universeg.desk.labels import told_apart
from universeg.desk.masks import Masks, agreement
from universeg.desk.overview import expected_dice, trust_in
from universeg.desk.predicting import finding
from universeg.desk.predicting.agenda import Agenda
from universeg.desk.predicting.finding import Finder, example_of
from universeg.desk.predicting.tasks import (
    Done,
    Found,
    Ready,
    Settings,
    Stop,
    Unable,
    Workplace,
)
from universeg.desk.predicting.worker import work
from universeg.results.labels import Label


@pytest.fixture(params=[Bright])
def network(request, monkeypatch):
    monkeypatch.setattr(finding, "load_universeg", lambda _: request.param())


def finder_of(plane="2d"):
    return Finder(Settings("any", plane=plane))


def seen_of(desk, finder):
    return [
        finder.seen(identity, lambda i=identity: desk.shown(i).scan, desk.plane)
        for identity in desk.records
    ]


def truth_of(desk, identity):
    scan = desk.shown(identity).scan
    return Masks(
        scan.voxels.shape, {1: scan.voxels > np.mean([scan.voxels.min(), scan.voxels.max()])}
    )


def test_what_is_found_lies_on_the_scans_own_grid(tmp_path, network):
    desk = open_desk(write_pictures(tmp_path / "s", shape=(150, 110)), tmp_path / "o")
    finder = finder_of()
    first, *others = seen_of(desk, finder)
    example = example_of(first, truth_of(desk, next(iter(desk.records))))
    findings = [*finder.find(others, finder.shown([example], {1: "cell"}), overlap=False)]
    for identity, found in zip([*desk.records][1:], findings, strict=True):
        assert agreement(found.masks, truth_of(desk, identity)) > 0.95
        assert found.confidence > 0.9


def test_labels_exclude_each_other_or_do_not(tmp_path, network):
    desk = open_desk(write_pictures(tmp_path / "s", 1, (90, 80)), tmp_path / "o")
    finder = finder_of()
    (seen,) = seen_of(desk, finder)
    bright = truth_of(desk, next(iter(desk.records))).layer(1)
    example = example_of(seen, Masks(seen.shape, {1: bright, 2: bright}))
    (one,) = finder.find([seen], finder.shown([example], {1: "a", 2: "b"}), overlap=False)
    (both,) = finder.find([seen], finder.shown([example], {1: "a", 2: "b"}), overlap=True)
    assert not one.masks.overlapping()
    np.testing.assert_array_equal(both.masks.layer(1), both.masks.layer(2))
    assert both.masks.layer(1).any()


def test_a_label_that_nothing_shows_is_not_found(tmp_path, network):
    desk = open_desk(write_pictures(tmp_path / "s", 1), tmp_path / "o")
    finder = finder_of()
    (seen,) = seen_of(desk, finder)
    example = example_of(seen, Masks(seen.shape, {1: disc()}))
    (found,) = finder.find([seen], finder.shown([example], {1: "a", 2: "b"}), overlap=False)
    assert found.masks.labels == [1]
    (nothing,) = finder.find([seen], finder.shown([], {1: "a"}), overlap=False)
    assert (nothing.masks.labels, nothing.confidence) == ([], 0)


@pytest.fixture
def working():
    """Runs the worker beside the test; gives the end of the conversation that the server has."""
    ends = []

    def begin(desk, support=None):
        ours, theirs = multiprocessing.Pipe()
        place = Workplace(desk.entries, desk.work, support, Settings("any", plane=desk.plane))
        thread = Thread(target=work, args=(theirs, place), daemon=True)
        thread.start()
        ends.append((ours, thread))
        return ours

    yield begin
    for ours, thread in ends:
        ours.close()
        thread.join(timeout=20)
        assert not thread.is_alive()


def carry_out(agenda, conversation):
    """One task, from the agenda to the worker and back."""
    task = agenda.next_task()
    if task is None:
        return None
    conversation.send(task)
    while not isinstance(said := conversation.recv(), Done):
        if isinstance(said, Found):
            agenda.found(task, said)
    agenda.ended(task)
    return task


def test_a_correction_changes_what_nobody_has_looked_at(tmp_path, monkeypatch, working):
    monkeypatch.setattr(finding, "load_universeg", lambda _: Echo())
    desk = open_desk(write_pictures(tmp_path / "s", 3), tmp_path / "o")
    agenda, worker = Agenda(desk), working(desk)
    agenda.begun(worker.recv())
    one, two, three = desk.records
    desk.edit(one, 0, ("2d", 0), [patch(disc())])
    desk.finish(one, 1)
    assert {*carry_out(agenda, worker).scans} == {two, three}
    assert agreement(desk.masks(two), Masks((40, 50), {1: disc()})) > 0.9
    assert carry_out(agenda, worker) is None

    larger = disc(radius=14)
    desk.edit(two, 0, ("2d", 0), [patch(larger)])
    desk.finish(two, 1)
    assert carry_out(agenda, worker).scans == (three,)
    np.testing.assert_array_equal(desk.masks(one).layer(1), disc())
    np.testing.assert_array_equal(desk.masks(two).layer(1), larger)
    assert desk.records[three].standing.state == "predicted"


def test_what_a_person_began_in_the_meantime_is_left_alone(tmp_path, network, working):
    desk = open_desk(write_pictures(tmp_path / "s", 2), tmp_path / "o")
    agenda, worker = Agenda(desk), working(desk)
    agenda.begun(worker.recv())
    one, two = desk.records
    desk.edit(one, 0, ("2d", 0), [patch(disc())])
    desk.finish(one, 1)
    task = agenda.next_task()
    desk.edit(two, 0, ("2d", 0), [patch(disc(radius=2))])  # while it is being predicted
    worker.send(task)
    while not isinstance(said := worker.recv(), Done):
        if isinstance(said, Found):
            agenda.found(task, said)
    np.testing.assert_array_equal(desk.masks(two).layer(1), disc(radius=2))
    assert not (desk.work / two / "coming.npz").exists()


def test_slices_that_were_drawn_give_the_rest_of_their_volume(tmp_path, network, working):
    desk = open_desk(write_volumes(tmp_path / "s", 1), tmp_path / "o")
    agenda, worker = Agenda(desk), working(desk)
    agenda.begun(worker.recv())
    (scan,) = desk.records
    truth = truth_of(desk, scan)
    for revision, index in enumerate((3, 5)):
        desk.edit(scan, revision, ("axial", index), [patch(truth.layer(1)[index])])
    agenda.ask(scan)
    assert carry_out(agenda, worker).drawn == (3, 5)
    assert agreement(desk.masks(scan), truth) > 0.8
    np.testing.assert_array_equal(desk.masks(scan).layer(1)[3], truth.layer(1)[3])
    assert desk.records[scan].standing.state == "begun"


def test_who_is_done_with_a_volume_does_not_wait_for_its_other_slices(tmp_path, network, working):
    desk = open_desk(write_volumes(tmp_path / "s", 1), tmp_path / "o")
    agenda = Agenda(desk)
    (scan,) = desk.records
    desk.edit(scan, 0, ("axial", 3), [patch(truth_of(desk, scan).layer(1)[3])])
    agenda.ask(scan)
    task = agenda.next_task()
    assert not agenda.is_outdated(task)
    desk.finish(scan, 1)
    assert agenda.is_outdated(task)


def test_labelled_examples_are_learnt_from_at_once(tmp_path, network, working):
    desk = open_desk(write_pictures(tmp_path / "s", 1), tmp_path / "o", {7: "nucleus"})
    write_pictures(tmp_path / "e" / "images", 2)
    for number in range(2):
        (tmp_path / "e" / "masks").mkdir(exist_ok=True)
        mask = disc().astype(np.uint8) * 7
        Image.fromarray(mask).save(tmp_path / "e" / "masks" / f"{number}.png")
    agenda, worker = Agenda(desk), working(desk, tmp_path / "e")
    ready = worker.recv()
    assert (ready.names, ready.examples) == ({7: ""}, 2)
    agenda.begun(ready)
    assert [label.name for label in desk.notes.labels] == ["nucleus"]
    assert len(carry_out(agenda, worker).scans) == 1
    assert next(iter(desk.records.values())).standing.state == "predicted"


OUTLINES = {
    "Tumor": ([200, 0, 0], [[5, 5], [20, 5], [20, 20], [5, 20], [5, 5]]),
    "Stroma": ([0, 150, 60], [[30, 10], [45, 10], [45, 30], [30, 30], [30, 10]]),
}


def write_outlines(folder):
    """A picture with two labels as QuPath has them, with names and colours."""
    write_pictures(folder, 1)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [outline]},
            "properties": {"classification": {"name": name, "color": colour}},
        }
        for name, (colour, outline) in OUTLINES.items()
    ]
    said = {"type": "FeatureCollection", "features": features}
    (folder / "0.geojson").write_text(json.dumps(said))
    return folder


def test_labels_have_the_names_and_colours_of_the_examples(tmp_path, network, working):
    desk = open_desk(write_pictures(tmp_path / "s", 1), tmp_path / "o", {9: "tumor"})
    agenda, worker = Agenda(desk), working(desk, write_outlines(tmp_path / "e"))
    agenda.begun(worker.recv())
    by_name = {label.name: label for label in desk.notes.labels}
    assert {*by_name} == {"tumor", "Stroma", "Tumor (2)"}  # one of them was a person's
    assert by_name["Stroma"].colour == "#00963c"
    assert by_name["Tumor (2)"].colour == "#c80000"

    desk.set_labels([by_name["Stroma"].model_copy(update={"name": "mine"})], overlap=False)
    agenda.begun(Ready({by_name["Stroma"].value: "Stroma"}, {}, 1))
    assert [label.name for label in desk.notes.labels] == ["mine"]


def test_more_labels_than_there_is_room_for_are_told(tmp_path):
    desk = open_desk(write_pictures(tmp_path / "s", 1), tmp_path / "o")
    agenda = Agenda(desk)
    agenda.begun(Ready(dict.fromkeys(range(1, 100), ""), {}, 1))
    assert len(desk.notes.labels) == 64
    assert agenda.is_ready and "64 labels" in agenda.problem


@given(st.text(max_size=200), st.integers(1, 65535), st.lists(st.text(min_size=1, max_size=80)))
def test_whatever_files_call_a_label_it_gets_a_name_of_its_own(name, value, taken):
    own = told_apart(name, value, taken)
    label = Label(value=value, name=own, colour="#ffffff")
    assert slug(label.name) not in map(slug, taken)


def test_masks_of_1_and_of_255_show_one_label(tmp_path, network):
    write_pictures(tmp_path / "e" / "images", 2)
    (tmp_path / "e" / "masks").mkdir()
    for number, value in enumerate((1, 255)):
        mask = disc().astype(np.uint8) * np.uint8(value)
        Image.fromarray(mask).save(tmp_path / "e" / "masks" / f"{number}.png")
    examples, names, _ = finding.read_support(tmp_path / "e", finder_of(), "2d", print)
    assert [*names] == [255]
    assert [[*each.masks] for each in examples] == [[255], [255]]


def test_what_is_wrong_with_one_scan_does_not_end_the_others(
    tmp_path, network, working, monkeypatch
):
    desk = open_desk(write_pictures(tmp_path / "s", 3), tmp_path / "o")
    one, two, three = desk.records
    desk.edit(one, 0, ("2d", 0), [patch(disc())])
    desk.finish(one, 1)

    def seen(self, identity, read, plane, plain=Finder.seen):
        if identity == two:
            raise TypeError("so")
        return plain(self, identity, read, plane)

    monkeypatch.setattr(Finder, "seen", seen)
    agenda, worker = Agenda(desk), working(desk)
    agenda.begun(worker.recv())
    carry_out(agenda, worker)
    assert desk.records[two].standing.reason == "TypeError: so"
    assert desk.records[three].standing.state == "predicted"


def test_a_scan_that_cannot_be_read_says_why(tmp_path, network, working):
    desk = open_desk(write_pictures(tmp_path / "s", 3), tmp_path / "o")
    agenda, worker = Agenda(desk), working(desk)
    agenda.begun(worker.recv())
    one, two, three = desk.records
    desk.edit(one, 0, ("2d", 0), [patch(disc())])
    desk.finish(one, 1)
    (tmp_path / "s" / "1.png").write_bytes(b"no picture")
    carry_out(agenda, worker)
    assert desk.records[two].standing.reason
    assert desk.records[three].standing.state == "predicted"
    assert carry_out(agenda, worker) is None  # it is not tried again and again


def test_something_more_urgent_stops_a_task(tmp_path, network, working):
    desk = open_desk(write_volumes(tmp_path / "s", 2), tmp_path / "o")
    agenda, worker = Agenda(desk), working(desk)
    agenda.begun(worker.recv())
    one, two = desk.records
    desk.edit(one, 0, ("axial", 4), [patch(truth_of(desk, one).layer(1)[4])])
    desk.finish(one, 1)
    task = agenda.next_task()
    assert not agenda.is_outdated(task)
    agenda.ask(two)
    assert agenda.is_outdated(task)
    worker.send(task)
    worker.send(Stop())
    said = []
    while not said or not isinstance(said[-1], Done):
        said.append(worker.recv())
    assert said[-1].stopped or any(isinstance(each, Found) for each in said)


def test_without_weights_it_says_so(tmp_path, working):
    desk = open_desk(write_pictures(tmp_path / "s", 1), tmp_path / "o")
    said = working(desk).recv()
    assert isinstance(said, Unable) and "any" in said.problem
    agenda = Agenda(desk)
    agenda.unable(said.problem)
    assert agenda.problem


def test_an_expected_dice_is_held_against_what_persons_made_of_it(tmp_path):
    desk = open_desk(write_pictures(tmp_path / "s", 2), tmp_path / "o")
    one, two = desk.records.values()
    for record in (one, two):
        Masks((40, 50), {1: disc()}).save(record.folder / "coming.npz")
        record.take(record.folder / "coming.npz", 0.8, "a support")
    assert expected_dice(two.standing, trust_in(desk)) == 0.8
    first, _ = desk.records
    desk.edit(first, 0, ("2d", 0), [patch(disc(radius=6))])
    desk.finish(first, 1)
    assert expected_dice(two.standing, trust_in(desk)) == round(one.standing.agreed, 3)
