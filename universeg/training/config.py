"""The settings of a training run: typed, from a preset, a YAML file and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from megamedical.catalogue import strict_yaml
from megamedical.errors import MegaMedicalError, nearest
from megamedical.files.writing import whole_file
from megamedical.store.sampling.tasks import TaskChoice
from universeg.training.augmentation import Augmentation
from universeg.training.drawn.families import DrawnTasks

_DEEPEST = 8  # dots in the name of a setting
_WHOLE = {"support_sizes"}  # those that were said before would come again
_PRESETS = files("universeg.training") / "presets"


class ConfigError(MegaMedicalError):
    """Settings that do not exist, or cannot be."""


_Size = Annotated[int, Field(ge=1)]
_Weight = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Optimiser(_Settings):
    """Adam with decoupled weight decay, and how its learning rate goes."""

    learning_rate: float = Field(default=1e-4, gt=0)
    """The highest."""
    warm_up: int = Field(default=0, ge=0)
    """Steps in which it rises from 0."""
    decay: Literal["none", "cosine"] = "none"
    """Whether it falls to 0 at the last step, or the last minute, as a cosine does."""
    clip: float | None = Field(default=None, gt=0)
    """The largest norm of a gradient; a larger one is shortened to it."""
    weight_decay: float = Field(default=0, ge=0)
    """Share of the learning rate by which weights shrink at each step."""
    betas: tuple[_Share, _Share] = (0.9, 0.999)
    """How much of the mean gradient, and of its mean square, is kept at each step."""


class Evaluation(_Settings):
    """How a network is judged while it is trained: Dice on the dev split."""

    every: int = Field(default=1000, ge=1)
    """Steps from one evaluation to the next."""
    tasks: int = Field(default=100, ge=1)
    """At most so many, evenly spread over all."""
    queries: int = Field(default=4, ge=1)
    """Of each task at most so many, evenly spread."""
    pictures: int = Field(default=8, ge=0)
    """Of so many queries the prediction is drawn."""


class Config(_Settings):
    """All settings of a run."""

    model: str = "universeg"
    """The network, by its name: see `universeg.models`."""
    architecture: dict[str, Any] = {}
    """Keyword arguments of the network."""
    begin_with: str = ""
    """Trained weights to go on from: a file, or a release; else they are drawn from the seed."""
    resolution: int = Field(default=128, ge=16)
    """Height and width of the slices; the store's."""
    support_size: int = Field(default=64, ge=1)
    """Labelled slices that a query comes with, and by which the network is judged."""
    support_sizes: Mapping[_Size, _Weight] = {}
    """How often all episodes of a step have so many instead: `{1: 0.1, 16: 0.6, 64: 0.3}`."""
    batch_size: int = Field(default=8, ge=1)
    """Episodes of a step, on all devices together; where `pairs` are given, at most so many."""
    pairs: int | None = Field(default=None, ge=1)
    """Pairs of a query with a labelled slice: as many episodes as make so many fill a step."""
    steps: int = Field(default=100_000, ge=1)
    """Steps in all, or at most so many where `minutes` are given."""
    minutes: float | None = Field(default=None, gt=0)
    """Minutes in all, evaluations left out. A run by the clock is not the same twice."""
    seed: int = Field(default=0, ge=0)
    """Of the first weights, the episodes and their augmentation."""
    loss: Literal["soft-dice", "cross-entropy", "dice-and-cross-entropy"] = "soft-dice"
    """See `universeg.training.losses`."""
    running_mean: _Share = 0
    """How much of the running mean of the weights is kept at each step, as 0.999; it begins with
    less. The mean is what is judged and saved. With 0 there is none."""
    optimiser: Optimiser = Optimiser()
    """See there."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's maps; weights, loss and optimiser are in float32."""
    compile: bool = False
    """Whether the network is compiled by PyTorch: for GPUs, and once for each support size."""
    tasks: TaskChoice = TaskChoice()
    """Which are learnt."""
    drawn: DrawnTasks = DrawnTasks()
    """Tasks that are drawn beside them, new at every step."""
    augmentation: Augmentation = Augmentation()
    """Of tasks and of images (paper, section 3.4); `none` sets each probability to 0."""
    evaluation: Evaluation = Evaluation()
    """See there."""
    save_every: int = Field(default=1000, ge=1)
    """Steps from one checkpoint to the next."""
    cache: Literal["auto", "none", "host", "device"] = "auto"
    """Where slices are kept: on the disk only, in memory, or on the GPU."""
    workers: int | None = Field(default=None, ge=0)
    """Processes that read; by default none where the slices fit into memory, and none on a CPU,
    else as many as there are cores, less one."""
    tensorboard: bool = False
    """Whether a log for TensorBoard is written too."""
    wandb: str = ""
    """The project of Weights & Biases that gets the figures too."""
    mlflow: str = ""
    """The experiment of MLflow that gets the figures too."""


def presets() -> list[str]:
    """The names of the presets."""
    return sorted(entry.name[:-5] for entry in _PRESETS.iterdir() if entry.name.endswith(".yaml"))


def resolve(preset: str, file: Path | None = None, changes: Sequence[str] = ()) -> Config:
    """The settings of a preset, changed by a YAML file, changed by `name.of.setting=value`.

    Raises:
        ConfigError: one does not exist, or has a value that cannot be.
    """
    if preset not in presets():
        raise ConfigError(f"There is no preset {preset}", nearest(preset, presets()))
    settings = _changed({}, _parsed((_PRESETS / f"{preset}.yaml").read_bytes(), preset))
    if file is not None:
        if not file.is_file():
            raise ConfigError(f"There are no settings at {file}", "Name a YAML file.")
        settings = _changed(settings, _parsed(file.read_bytes(), str(file)))
    for change in changes:
        settings = _changed(settings, _as_mapping(change))
    return _validated(settings)


def save_config(config: Config, path: Path) -> None:
    """Write all settings as YAML, whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def load_config(path: Path) -> Config:
    """Read what `save_config` wrote.

    Raises:
        ConfigError: it is not what this version writes.
    """
    return _validated(_parsed(path.read_bytes(), str(path)))


def _validated(settings: Mapping[str, Any]) -> Config:
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))}: {_in_words(fault)}" for fault in error.errors()
        ]
        raise ConfigError("\n  ".join(["These settings cannot be:", *faults])) from error


def _in_words(fault: Mapping[str, Any]) -> str:
    if fault["type"] != "extra_forbidden":
        return f"{fault['msg']:.200}, not {fault['input']!r:.200}"
    known: Any = Config
    for part in fault["loc"][:-1]:
        known = known.model_fields[part].annotation
    return f"there is no such setting. {nearest(str(fault['loc'][-1]), known.model_fields)}"


def _parsed(text: str | bytes, source: str) -> dict[str, Any]:
    try:
        settings = strict_yaml.load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{source:.200} is not YAML: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{source} does not hold settings", "Write `name: value` in each line.")
    return settings


def _as_mapping(change: str) -> dict[str, Any]:
    name, separator, value = change.partition("=")
    if not separator or not name or name.count(".") > _DEEPEST:
        raise ConfigError(f"{change:.200} changes no setting", "Write it as `support_size=16`.")
    nested: Any = _parsed(f"value: {value}", change)["value"]
    for part in reversed(name.split(".")):
        nested = {part: nested}
    return dict(nested)


def _changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings after changes; another model does not take the architecture of the one before."""
    before = settings.get("model", Config.model_fields["model"].default)
    is_other = changes.get("model", before) != before
    kept = {name: value for name, value in settings.items() if name != "architecture"}
    if changes.get("augmentation") == "none":
        changes = {**changes, "augmentation": Augmentation.none().model_dump()}
    return _merged(kept if is_other else settings, changes)


def _merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(settings)
    for name, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        is_whole = name in _WHOLE
        merged[name] = _merged(merged[name], value) if both and not is_whole else value
    return merged
