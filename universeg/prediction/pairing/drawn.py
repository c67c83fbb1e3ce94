"""Pictures with what was drawn on them in other programs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from megamedical.errors import SubjectError
from megamedical.reading.formats import sought_dimension
from universeg.annotations.drawing import Annotations, Drawing
from universeg.annotations.kinds import SUFFIXES, NotAnnotations, read_annotations
from universeg.annotations.matching import Pictures
from universeg.annotations.naming import unified
from universeg.prediction.inputs import Input, inputs_at
from universeg.prediction.pairing.made import Broken, Drawn
from universeg.prediction.pairing.pair import Pair, Pairing
from universeg.prediction.pairing.ways import MASK_FOLDER

_MOST = 100_000  # files of a folder that are looked at


class Unread:
    """Annotations that could not be used, and why, for whoever must say that there are none."""

    def __init__(self) -> None:
        """Begin with none."""
        self.reasons: list[str] = []


def by_annotations(source: Path, unread: Unread) -> Pairing | None:
    """The pictures of a folder with the annotations that lie in it; or those of one file.

    Of several programs that is taken which has drawn on most pictures.
    """
    folder = source if source.is_dir() else _around(source)
    files = [*files_below(folder)]
    found: dict[str, list[Annotations]] = defaultdict(list)
    broken: list[tuple[Path, SubjectError]] = []
    for path in [source] if source.is_file() else files:
        if path.suffix.lower() not in SUFFIXES:
            continue
        try:
            program, annotations = read_annotations(path)
        except NotAnnotations as error:
            unread.reasons += [f"{path.name} {error.reason}"] if error.reason else []
        except SubjectError as error:
            unread.reasons.append(f"{path.name} {error.reason}")
            broken.append((path, error))
        else:
            found[program].append(annotations)
    if not found:
        return None
    counts = Counter(
        {
            program: sum(bool(drawing.marks) for each in own for drawing in each.drawings)
            for program, own in found.items()
        }
    )
    program = counts.most_common(1)[0][0]
    pictures = Pictures(file for file in files if sought_dimension(file) == 2)
    pairing = _paired(program, found[program], broken, pictures)
    others = [other for other in found if other != program]
    if others:
        said = f"What {' and '.join(others)} have drawn is left aside"
        pairing = replace(pairing, notes=(*pairing.notes, said))
    if not pairing.pairs:
        missing = ", ".join(path.name for path in pairing.unpaired[:3])
        unread.reasons.append(
            f"No picture in {folder} is what {program} has drawn on ({missing}): "
            "name the folder that holds both"
        )
    return pairing


def _around(file: Path) -> Path:
    """Where the pictures of a file of annotations are looked for: one up, from `annotations/`."""
    folder = file.absolute().parent
    return folder.parent if MASK_FOLDER.fullmatch(folder.name) else folder


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and below it, but hidden ones."""
    count = 0
    for path in sorted(folder.rglob("*")):
        if any(part[0] == "." for part in path.relative_to(folder).parts) or not path.is_file():
            continue
        count += 1
        if count > _MOST:
            return
        yield path


def _paired(
    program: str,
    files: Iterable[Annotations],
    broken: Iterable[tuple[Path, SubjectError]],
    pictures: Pictures,
) -> Pairing:
    files = [*files]
    names = unified(label for each in files for label in each.named())
    drawings: dict[Path, list[Drawing]] = defaultdict(list)
    unpaired: dict[Path, None] = {}
    empty = 0
    for drawing in (drawing for each in files for drawing in each.drawings):
        image = pictures.called(drawing.image, drawing.file)
        if image is None and "%" in drawing.image:  # as in an address on the web
            image = pictures.called(unquote(drawing.image), drawing.file)
        if image is None and not Path(drawing.image).suffix:
            image = pictures.called(drawing.file.stem, drawing.file)
        if image is None:
            unpaired[drawing.file.with_name(Path(drawing.image).name or drawing.file.name)] = None
        elif drawing.marks:
            drawings[image].append(drawing)
        else:
            empty += 1
    pairs = [
        Pair(_input(image), Drawn(_merged(own), names.values)) for image, own in drawings.items()
    ]
    for path, error in broken:
        image = pictures.called(path.stem, path)
        if image and image not in drawings:
            pairs.append(Pair(_input(image), Broken(path, error.reason)))
        else:
            unpaired[path] = None
    notes = [note for each in files for note in each.notes]
    if empty:
        notes.append(f"{empty} pictures have nothing drawn on them, and are not used")
    return Pairing(
        tuple(pairs),
        f"drawn in {program}",
        tuple(unpaired),
        names.names,
        names.colours,
        tuple(notes),
    )


def _merged(drawings: list[Drawing]) -> Drawing:
    """All that several files have drawn on one picture."""
    marks = [mark for drawing in drawings for mark in drawing.marks]
    size = next((drawing.size for drawing in drawings if drawing.size), None)
    return replace(drawings[0], size=size, marks=marks)


def _input(path: Path) -> Input:
    (found,) = inputs_at(path)
    return found
