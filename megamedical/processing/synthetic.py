"""The synthetic tasks: label maps of random smooth shapes, and subjects drawn from them.

The subjects of a task share one label map, their anatomy, and one mean intensity per label; they
differ in deformation and imaging. The parameters are the paper's (paper.md, Synthetic tasks), and
what they mean is as in SynthMorph (Hoffmann et al. 2022, https://doi.org/10.1109/TMI.2021.3116879).

Lengths are in pixels of a picture of 256 x 256; pictures of another size show the same shapes. A
subject depends on the seed, on its task and on its own number, and on nothing drawn before it: with
one version of NumPy it is the same on any machine, up to the rounding of the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from megamedical.catalogue.group import DrawnGroup
from megamedical.catalogue.manifest import Generator

Field = NDArray[np.float64]
Labels = NDArray[np.uint8]

BACKGROUND = 0

_EXTENT = 256  # pixels; the size that lengths refer to
_SHAPE_SPACINGS = (32, 64, 128)  # pixels between the nodes of the noise
_SHAPE_WARP_SPACINGS = (16, 32, 64, 128)
_SUBJECT_WARP_SPACINGS = (8, 16, 32, 64)
_VELOCITY_GRID = 128  # samples along an axis; velocities and their std are in these samples
_SQUARINGS = 7
_ZERO_BACKGROUND = 0.2  # probability
_GAMMA_STD = 0.25  # of the exponent's logarithm


@dataclass(frozen=True, eq=False)
class SyntheticTask:
    """What the subjects of one task share.

    `label_map` is (H, W) and read-only; `means` holds the mean intensity, in [0, 1], of each value
    it may have, 0 first. Subjects are drawn with the rest: `mean_std` around a mean, the lowest and
    the highest `noise_std` of a label, and the highest std of the warp's velocity (samples of its
    grid, two pixels apart), of the blur (pixels) and of the logarithm of the bias field, whose
    nodes are `bias_spacing` pixels apart.
    """

    seed: int
    task: int
    label_map: Labels
    means: tuple[float, ...]
    mean_std: float
    warp_std: float
    noise_std: tuple[float, float]
    blur_std: float
    bias_std: float
    bias_spacing: float

    @property
    def size(self) -> int:
        """Pixels along each axis."""
        return len(self.label_map)

    @property
    def labels(self) -> tuple[int, ...]:
        """The values present in the label map, in order, without the background."""
        return tuple(int(value) for value in np.unique(self.label_map) if value != BACKGROUND)


@lru_cache(maxsize=32)
def draw_task(seed: int, task: int, size: int = _EXTENT) -> SyntheticTask:
    """Draw the label map and the parameters of a task; `size` is in pixels along each axis."""
    rng = _stream(seed, task)
    channels = int(rng.integers(5, 20))
    label_map = _draw_label_map(rng, channels, size)
    while (label_map == BACKGROUND).all():  # less than one draw in thousands
        label_map = _draw_label_map(rng, channels, size)
    label_map.setflags(write=False)
    return SyntheticTask(
        seed=seed,
        task=task,
        label_map=label_map,
        means=tuple(rng.uniform(0.0, 1.0, channels).tolist()),
        mean_std=rng.uniform(0.01, 0.1),
        warp_std=rng.uniform(1.0, 20.0),
        noise_std=(rng.uniform(0.01, 0.1), rng.uniform(0.2, 1.0)),
        blur_std=rng.uniform(0.5, 5.0),
        bias_std=rng.uniform(0.1, 1.0),
        bias_spacing=rng.uniform(32.0, 50.0),
    )


def draw_subject(task: SyntheticTask, subject: int) -> tuple[NDArray[np.float32], Labels]:
    """Draw the image, in [0, 1], and the labels of one subject, both (H, W)."""
    rng = _stream(task.seed, task.task, subject)
    labels = _warp_labels(task.label_map, _draw_diffeomorphism(rng, task.warp_std, task.size))
    image = _draw_tissue(rng, task, labels)
    image = ndimage.gaussian_filter(image, _pixels(rng.uniform(0.0, task.blur_std, 2), task.size))
    image *= np.exp(_perlin(rng, 1, task.size, (task.bias_spacing,), task.bias_std)[0])
    return _normalise(rng, image).astype(np.float32), labels


def groups(
    generator: Generator, tasks: int | None = None, subjects: int | None = None
) -> dict[str, DrawnGroup]:
    """The tasks of a generator as groups, `task-0000` first, with other counts where given."""
    tasks = generator.tasks if tasks is None else tasks
    subjects = generator.subjects if subjects is None else subjects
    return {f"task-{task:04}": _group(generator, task, subjects) for task in range(tasks)}


def _group(generator: Generator, task: int, subjects: int) -> DrawnGroup:
    labels = draw_task(generator.seed, task, generator.size).labels
    return DrawnGroup(
        modality="synthetic",
        dimension=2,
        labels={value: f"shape {value}" for value in labels},
        minimum_area=0.001,
        task=task,
        subjects=subjects,
        size=generator.size,
        seed=generator.seed,
    )


def _stream(seed: int, *path: int) -> np.random.Generator:
    # The path is a spawn key, since entropy that ends in zeros would give the same stream without.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=path)))


def _draw_label_map(rng: np.random.Generator, channels: int, size: int) -> Labels:
    """At each pixel the channel whose warped noise is highest, (size, size)."""
    noise = _perlin(rng, channels, size, _SHAPE_SPACINGS, 1.0)
    warps = _perlin(rng, 2 * channels, size, _SHAPE_WARP_SPACINGS, rng.uniform(4.0, 15.0))
    displacements = _pixels(warps, size).reshape(channels, 2, size, size)
    warped = np.stack([_sample(*channel) for channel in zip(noise, displacements, strict=True)])
    label_map: Labels = warped.argmax(axis=0).astype(np.uint8)
    return label_map


def _draw_diffeomorphism(rng: np.random.Generator, max_std: float, size: int) -> Field:
    """A (2, size, size) displacement in pixels: the flow of a random velocity field over time 1.

    The flow over time 1 / 2^n is almost the velocity; squaring it n times (following it by itself)
    gives the flow over time 1.
    """
    velocity = _perlin(rng, 2, _VELOCITY_GRID, _SUBJECT_WARP_SPACINGS, max_std)
    displacement = velocity / 2**_SQUARINGS
    for _ in range(_SQUARINGS):
        displacement = displacement + np.stack([_sample(d, displacement) for d in displacement])
    upsampling = _linear(size, _VELOCITY_GRID)
    in_pixels: Field = displacement * ((size - 1) / (_VELOCITY_GRID - 1))
    return upsampling @ in_pixels @ upsampling.T


def _warp_labels(labels: Labels, displacement: Field) -> Labels:
    """The nearest label at each displaced pixel; beyond the label map lies background."""
    places = _grid(len(labels)) + displacement
    warped: Labels = ndimage.map_coordinates(labels, places, order=0, cval=BACKGROUND)
    return warped


def _draw_tissue(rng: np.random.Generator, task: SyntheticTask, labels: Labels) -> Field:
    """The image before blur and bias: in each label white noise around a mean near the task's."""
    means = np.clip(rng.normal(task.means, task.mean_std), 0.0, 1.0)
    stds = rng.uniform(*task.noise_std, len(means))
    image = means[labels] + stds[labels] * rng.standard_normal(labels.shape)
    background = labels == BACKGROUND
    if rng.random() < _ZERO_BACKGROUND and not background.all():  # some of the image has to remain
        image[background] = 0.0
    return image


def _normalise(rng: np.random.Generator, image: Field) -> Field:
    """Scale to [0, 1] from the lowest to the highest pixel, then raise to a random gamma."""
    image = np.maximum(image, 0.0)  # what noise took below zero no scanner would show
    image = (image - image.min()) / np.ptp(image)
    return np.power(image, np.exp(rng.normal(0.0, _GAMMA_STD)))


def _perlin(
    rng: np.random.Generator, fields: int, size: int, spacings: Sequence[float], max_std: float
) -> Field:
    """Smooth noise, (fields, size, size): normal noise on several grids, upsampled and summed.

    `spacings` are the pixels between the nodes of each grid. Its noise has a standard deviation
    drawn from U(0, `max_std`), shared by the fields, and is linear between the nodes.
    """
    rows, columns = [], []
    for spacing in spacings:
        nodes = int(np.ceil(_EXTENT / spacing))
        grid = rng.uniform(0.0, max_std) * rng.standard_normal((fields, nodes, nodes))
        rows.append(_linear(size, nodes) @ grid)
        columns.append(_linear(size, nodes))
    # One product interpolates along the columns and sums over the spacings.
    along_rows = np.concatenate(rows, axis=-1).reshape(fields * size, -1)
    return (along_rows @ np.concatenate(columns, axis=-1).T).reshape(fields, size, size)


@lru_cache(maxsize=64)
def _linear(size: int, nodes: int) -> Field:
    """Linear interpolation of `nodes` values at `size` points between the ends: (size, nodes)."""
    position = np.linspace(0.0, nodes - 1.0, size)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(nodes)))


def _sample(field: Field, displacement: Field) -> Field:
    """A (size, size) field at its displaced samples; past the border it is as at the border."""
    places = _grid(len(field)) + displacement
    sampled: Field = ndimage.map_coordinates(field, places, order=1, mode="nearest")
    return sampled


@lru_cache(maxsize=8)
def _grid(size: int) -> Field:
    """The row and the column of each sample, (2, size, size)."""
    return np.indices((size, size)).astype(np.float64)


def _pixels(lengths: Field, size: int) -> Field:
    """Lengths in pixels of the reference picture, as pixels of a picture of `size`."""
    return lengths * (size / _EXTENT)
