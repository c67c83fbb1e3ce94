"""The process that tunes: a network goes on learning while another one predicts."""

from __future__ import annotations

from contextlib import suppress
from multiprocessing.connection import Connection

from megamedical.errors import MegaMedicalError
from universeg.desk.predicting.examples import Examples, digest_of
from universeg.desk.predicting.learnt import Learnt
from universeg.desk.predicting.tasks import Tuned, Tuning, Unable, Workplace
from universeg.tuning.choosing import AS_IT_IS
from universeg.tuning.fitting import TUNING, Fitted, fit


def tune(conversation: Connection, place: Workplace, asked: Tuning) -> None:
    """Tune, keep it if it is better, and say what came of it."""
    with suppress(BrokenPipeError, ConnectionError):
        try:
            said: Tuned | Unable = tuned(place, asked)
        except MegaMedicalError as error:
            said = Unable(error.problem, error.remedy)
        except OSError as error:
            said = Unable(f"It could not be kept: {error.strerror or error}", "Make room.")
        conversation.send(said)


def tuned(place: Workplace, asked: Tuning) -> Tuned:
    """What comes of a tuning; it is on disk where it is better than the network as it was.

    Raises:
        MegaMedicalError: there is but one labelled scan, which leaves nothing to judge by.
        OSError: it could not be written.
    """
    examples = Examples(place, lambda _: None)
    shown = examples.finder.shown(
        examples.of(asked.support, asked.plane, lambda: None), asked.labels
    )
    if len(shown.support.scans) < 2:
        raise MegaMedicalError(
            "One labelled scan leaves nothing to learn from", "Look at another one first."
        )
    settings = place.settings
    fitted = fit(
        examples.finder.network,
        shown.support,
        ways=TUNING,
        budget=asked.seconds,
        device=examples.finder.device,
    )
    labels = [*shown.support.labels]
    is_better = fitted.gain > 0
    if is_better:
        learnt = Learnt(fitted.chosen, labels, fitted.gain, fitted.network, fitted.branch)
        learnt.save(place.tuned(asked.number), digest_of(settings.weights))
    before, after = _dice(fitted)
    return Tuned(before, after, fitted.gain if is_better else 0.0, labels)


def _dice(fitted: Fitted) -> tuple[float | None, float | None]:
    """Of the scans that were left out: before, and by the average that was chosen."""
    return fitted.dice.get(AS_IT_IS), fitted.dice.get(" + ".join(fitted.chosen))
