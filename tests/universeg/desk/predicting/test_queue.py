"""What is predicted next."""

from universeg.desk.predicting.queue import AT_ONCE, next_ones
from universeg.desk.record import Standing


def scans(**states):
    return {
        name: Standing(name=name, state=state, confidence=confidence, support=support)
        for name, (state, confidence, support) in states.items()
    }


def names(standings, opened=(), are_volumes=False):
    return [*next_ones(standings, "now", opened, are_volumes)]


def test_what_was_never_predicted_comes_before_the_least_certain():
    all_ = scans(
        sure=("predicted", 0.9, "old"), unsure=("predicted", 0.3, "old"), new=("waiting", None, "")
    )
    assert names(all_) == ["new", "unsure", "sure"]
    assert names(all_, are_volumes=True) == ["new"]


def test_what_a_person_looked_at_is_never_predicted_anew():
    assert (
        names(scans(a=("accepted", 0.2, ""), b=("corrected", 0.2, ""), c=("begun", 0.1, ""))) == []
    )


def test_what_is_on_the_screen_does_not_change():
    all_ = scans(a=("predicted", 0.1, "old"), b=("predicted", 0.5, "old"))
    assert names(all_, opened={"a"}) == ["b"]


def test_what_a_person_waits_for_comes_alone_and_first():
    all_ = scans(a=("waiting", None, ""), b=("waiting", None, ""))
    assert names(all_, opened={"b"}) == ["b"]


def test_nothing_is_predicted_twice_from_the_same():
    assert names(scans(a=("predicted", 0.1, "now"), b=("waiting", None, "now"))) == []


def test_a_correction_waits_for_few():
    all_ = scans(**{f"s{n}": ("waiting", None, "") for n in range(20)})
    assert len(names(all_)) == AT_ONCE
