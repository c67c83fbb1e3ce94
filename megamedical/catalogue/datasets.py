"""The catalogue: every dataset that has a manifest, and the choosing among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megamedical.catalogue.archive import Archive
from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.manifest import DatasetManifest, Role
from megamedical.catalogue.manifest_file import read_manifest
from megamedical.errors import ManifestError, SelectionError, nearest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Wanted:
    """What a dataset must have, as far as it is said.

    A `modality` is one of its groups' (`mri` is `mri-flair` too); a `label` a part of the name of
    one of its labels; a `licence` the beginning of its licence's name. `commercial` use is what
    its owners allow. Of `size` bytes at most are its archives; what nobody knows may be more.
    """

    modality: str = ""
    label: str = ""
    access: str = ""
    licence: str = ""
    commercial: bool = False
    size: int | None = None

    def fits(self, dataset: DatasetManifest) -> bool:
        """Whether a dataset has all of it."""
        kinds = [f"{modality}-" for modality in modalities(dataset)]
        return (
            (not self.modality or any(each.startswith(f"{self.modality}-") for each in kinds))
            and (not self.label or any(self.label.lower() in each for each in labels(dataset)))
            and self.access in ("", dataset.access)
            and dataset.licence.name.lower().startswith(self.licence.lower())
            and (not self.commercial or dataset.licence.commercial is True)
            and (self.size is None or (_bytes(dataset) or self.size + 1) <= self.size)
        )


@dataclass(frozen=True)
class Selection:
    """A dataset, and those of its groups that were asked for: all of them where `names` is empty.

    `tasks` and `subjects` replace the numbers of a generated dataset's manifest.
    """

    dataset: DatasetManifest
    names: frozenset[str] = frozenset()
    tasks: int | None = None
    subjects: int | None = None

    @property
    def groups(self) -> Mapping[str, FileGroup]:
        """The groups by name; none of a generated dataset, whose groups are drawn."""
        return {
            name: group
            for name, group in self.dataset.groups.items()
            if not self.names or name in self.names
        }

    def has(self, path: str) -> bool:
        """Whether a `<dataset>/<group>` was asked for, as far as that is known of drawn ones."""
        dataset, _, group = path.partition("/")
        return dataset == self.dataset.id and (
            self.dataset.generator is not None or group in self.groups
        )

    @property
    def archives(self) -> list[Archive]:
        """The archives without which the chosen groups cannot be built."""
        dataset = self.dataset
        needed = {archive for name in self.groups for archive in dataset.needed_by(name)}
        return [archive for archive in dataset.archives if archive.name in needed]


class Catalog(Mapping[str, DatasetManifest]):
    """Dataset manifests by id, in the order of their ids."""

    def __init__(self, manifests: Mapping[str, DatasetManifest]) -> None:
        self._manifests = dict(sorted(manifests.items()))

    def __getitem__(self, dataset: str) -> DatasetManifest:
        return self._manifests[dataset]

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifests)

    def __len__(self) -> int:
        return len(self._manifests)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per dataset: title, modality, subjects, bytes, access, licence, role, groups."""
        import pandas as pd

        columns = ("title", "modality", "subjects", "bytes", "access", "licence", "role", "groups")
        rows = [
            {key: ", ".join(said) if isinstance(said, list) else said for key, said in each.items()}
            for each in map(described, self.values())
        ]
        table = pd.DataFrame(rows).set_index("dataset")[list(columns)]
        return table.astype({"bytes": "Int64"})

    def select(
        self,
        names: Sequence[str] = (),
        *,
        role: Role | None = None,
        everything: bool = False,
        tasks: int | None = None,
        subjects: int | None = None,
    ) -> list[Selection]:
        """Choose datasets and groups.

        Args:
            names: `DATASET` or `DATASET/GROUP`.
            role: every dataset of a role.
            everything: every dataset but those of role `extra`.
            tasks: how many tasks a generated dataset gets, instead of its manifest's number.
            subjects: how many subjects each of them gets.

        Raises:
            SelectionError: a name is not in the catalogue, or nothing was chosen.
        """
        chosen: dict[str, set[str]] = {}
        for known in self.values():
            if known.role == role or (everything and known.role != "extra"):
                chosen[known.id] = set()
        for name in names:
            dataset, _, group = name.partition("/")
            self._expect(dataset, self)
            if group:
                self._expect(group, self[dataset].groups, f"{dataset}/")
            if group and chosen.get(dataset) != set():
                chosen.setdefault(dataset, set()).add(group)
            else:
                chosen[dataset] = set()
        if not chosen and role:
            there = ", ".join(sorted({known.role for known in self.values()}))
            raise SelectionError(f"No dataset has the role {role}.", f"There are: {there}.")
        if not chosen:
            raise SelectionError("No dataset was chosen.", "Name one, or give --role or --all.")
        return [
            Selection(self[dataset], frozenset(groups), tasks, subjects)
            for dataset, groups in sorted(chosen.items())
        ]

    @staticmethod
    def _expect(name: str, known: Mapping[str, object], prefix: str = "") -> None:
        if name not in known:
            whole = f"Name {prefix.rstrip('/')} alone: it is chosen as a whole."
            remedy = nearest(name, known).replace("mean ", f"mean {prefix}") if known else whole
            raise SelectionError(f"{prefix}{name} is not in the catalogue.", remedy)


def catalog(folder: Path | str | None = None) -> Catalog:
    """The datasets whose manifests come with the package, and those in a folder of one's own.

    Args:
        folder: holds further manifests, `<id>.yaml`; one with a known id replaces it.

    Raises:
        ManifestError: a manifest says what cannot be, or the folder is not there.
    """
    manifests = _read_folder(manifest_folder() / "datasets")
    if folder is not None:
        if not Path(folder).is_dir():
            raise ManifestError(f"{folder} is not a folder", "Name the folder of your YAML files.")
        manifests |= _read_folder(Path(folder))
    return Catalog(manifests)


def manifest_folder() -> Path:
    """Where `manifests/` lies: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parents[1] / "manifests"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "manifests"


def modalities(dataset: DatasetManifest) -> list[str]:
    """The modalities of a dataset, each once."""
    if dataset.generator:
        return ["synthetic"]
    return list(dict.fromkeys(group.modality for group in dataset.groups.values()))


def labels(dataset: DatasetManifest) -> list[str]:
    """The names of a dataset's labels in small letters, each once."""
    names = (name.lower() for group in dataset.groups.values() for name in group.label_values)
    return list(dict.fromkeys(names))


def tasks(dataset: DatasetManifest) -> int:
    """How many tasks a dataset has at most, over all groups."""
    if dataset.generator:
        return dataset.generator.tasks
    return sum(group.tasks for group in dataset.groups.values())


def described(dataset: DatasetManifest) -> dict[str, Any]:
    """What a script may want to know of a dataset: texts, numbers and lists of texts by name."""
    return {
        "dataset": dataset.id,
        "title": dataset.title,
        "modality": modalities(dataset),
        "subjects": subjects(dataset),
        "bytes": _bytes(dataset),
        "access": dataset.access,
        "licence": dataset.licence.name,
        "commercial": dataset.licence.commercial,
        "redistribution": dataset.licence.redistribution,
        "role": dataset.role,
        "groups": list(dataset.groups),
        "labels": labels(dataset),
        "tasks": tasks(dataset),
        "home": dataset.home,
        "doi": dataset.citation.doi,
        "proven": dataset.proven,
        "proven_on": dataset.proven_on,
    }


def _bytes(dataset: DatasetManifest) -> int | None:
    """What its archives take, as far as it is known."""
    return sum(archive.known_size for archive in dataset.archives) or None


def subjects(dataset: DatasetManifest) -> int:
    """How many subjects a whole distribution holds, over all groups."""
    if dataset.generator:
        return dataset.generator.tasks * dataset.generator.subjects
    return sum(group.subjects for group in dataset.groups.values())


def _read_folder(folder: Path) -> dict[str, DatasetManifest]:
    return {path.stem: read_manifest(path) for path in sorted(folder.glob("*.yaml"))}
