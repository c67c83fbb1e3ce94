"""Where figures of a run go besides its log: TensorBoard, Weights & Biases, MLflow.

Each is imported where it is wanted. A run that goes on is the same run there too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from megamedical.errors import MegaMedicalError, NotInstalled, needing
from megamedical.files.writing import whole_file
from universeg.training.config import Config
from universeg.training.folder import Folder


class TrackerError(MegaMedicalError):
    """What figures are sent to does not take them."""


class Tracker(Protocol):
    """Takes figures of a run, a few at each step that has any."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Note some figures of a step."""
        ...

    def close(self) -> None:
        """Bring all of them where they belong."""
        ...


class TensorBoard:
    """A folder of events, which `tensorboard --logdir` shows."""

    def __init__(self, folder: Path, after: int) -> None:
        """Go on after a step.

        Raises:
            NotInstalled: there is no TensorBoard.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise NotInstalled(
                "TensorBoard is not installed",
                "`pip install tensorboard`, or leave `tensorboard` off.",
            ) from error
        self._writer = SummaryWriter(folder, purge_step=after + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See `Tracker`."""
        self._writer.close()


class WeightsAndBiases:
    """A run of a project there; `WANDB_MODE=offline` keeps it on this machine."""

    def __init__(self, config: Config, folder: Folder) -> None:
        """Begin or go on.

        Raises:
            NotInstalled: there is no wandb.
            TrackerError: nobody is logged in, or it cannot be reached.
        """
        with needing("wandb", "wandb", "The setting `wandb`"):
            import wandb
        with _explained("Weights & Biases", "Run `wandb login`, or set WANDB_MODE=offline."):
            self._run = wandb.init(
                project=config.wandb,
                name=folder.path.name,
                id=_kept(folder.path / "wandb.id", secrets.token_hex(8)),
                resume="allow",
                dir=str(folder.path),
                config=config.model_dump(mode="json"),
            )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


class MLflow:
    """A run of an experiment, on the server that `MLFLOW_TRACKING_URI` names."""

    def __init__(self, config: Config, folder: Folder) -> None:
        """Begin or go on.

        Raises:
            NotInstalled: there is no MLflow.
            TrackerError: it cannot be reached, or is of a kind that MLflow does not write any more.
        """
        with needing("mlflow", "mlflow", "The setting `mlflow`"):
            from mlflow import MlflowClient
        with _explained("MLflow", "Set MLFLOW_TRACKING_URI: http://SERVER, sqlite:///mlflow.db."):
            self._begin(MlflowClient, config, folder)

    def _begin(self, client: Callable[[], Any], config: Config, folder: Folder) -> None:
        self._client = client()
        found = self._client.get_experiment_by_name(config.mlflow)
        known = folder.path / "mlflow.id"
        if not known.exists():
            of = found.experiment_id if found else self._client.create_experiment(config.mlflow)
            run = self._client.create_run(of, run_name=folder.path.name)
            for name, value in _flat(config.model_dump(mode="json")):
                self._client.log_param(run.info.run_id, name, value)
            _kept(known, run.info.run_id)
        self._run = known.read_text(encoding="utf-8")
        self._client.update_run(self._run, status="RUNNING")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self._client.set_terminated(self._run)


def trackers_of(config: Config, folder: Folder, after: int) -> list[Tracker]:
    """The trackers that the settings ask for, to go on after a step.

    Raises:
        NotInstalled: one of them is not here.
    """
    asked: list[Tracker] = []
    if config.tensorboard:
        asked.append(TensorBoard(folder.tensorboard, after))
    if config.wandb:
        asked.append(WeightsAndBiases(config, folder))
    if config.mlflow:
        asked.append(MLflow(config, folder))
    return asked


@contextmanager
def _explained(name: str, remedy: str) -> Iterator[None]:
    """One sentence in place of what somebody else's package raises."""
    try:
        yield
    except Exception as error:
        said = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise TrackerError(f"{name} takes no figures: {said}", remedy) from error


def _kept(path: Path, value: str) -> str:
    """What a file says; where there is none, it is made to say this."""
    if not path.exists():
        with whole_file(path) as unfinished:
            unfinished.write_text(value, encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their whole names, `optimiser.clip`; MLflow takes 500 letters of a value."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)[:500]
