"""The datasets, a few subjects each: names, folders, formats and oddities are the real ones'."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from miniatures.archives import Archives, Members
from miniatures.files import nifti, palette_gif, picture, ppm_gz

CASES = ("001", "003", "004", "006", "007")  # the numbers have gaps
_EYES = ("im0001", "im0002", "im0044", "im0082")
_BACKGROUND, _CYTOPLASM, _NUCLEUS, _STRAY = 0, 128, 255, 7
_CARDIAC_SFORM = np.diag([-1.0, -1.0, 1.0, 1.0])  # says 1 mm a voxel, whatever pixdim says


def wbc() -> Archives:
    """The repository as GitHub packs it; Dataset 2 has stray greys in its masks."""
    root = "segmentation_WBC-master"
    members = {f"{root}/README.rst": b"White blood cells\n", f"{root}/Dataset 1.png": b"overview"}
    for dataset, cells, side in (("Dataset 1", 5, 24), ("Dataset 2", 4, 30)):
        for cell in range(1, cells + 1):
            rng = np.random.default_rng([cell, side])
            mask = _rings(rng, (side, side), (_CYTOPLASM, _NUCLEUS))
            colours = _stained(rng, mask)
            if dataset == "Dataset 2":
                mask[0, :3] = _STRAY
            path = f"{root}/{dataset}/{cell:03d}"
            members |= {f"{path}.bmp": picture(colours, "bmp"), f"{path}.png": picture(mask, "png")}
    return {"segmentation_WBC-master.zip": members}


def stare() -> Archives:
    """Images and the labels of each annotator in a tar of their own; vk marks more than ah."""
    images, vk, ah = {}, {}, {}
    for number, eye in enumerate(_EYES):
        rng = np.random.default_rng([1, number])
        vessels = _vessels(rng, (30, 36))
        images[f"{eye}.ppm.gz"] = ppm_gz(_stained(rng, vessels))
        vk[f"{eye}.vk.ppm.gz"] = ppm_gz(vessels)
        thick = vessels.copy()
        thick[::2] = 0
        ah[f"{eye}.ah.ppm.gz"] = ppm_gz(thick)
    return {"stare-images.tar": images, "labels-vk.tar": vk, "labels-ah.tar": ah}


def drive() -> Archives:
    """Two zips; the second observer's masks, in the test part, are palette GIFs of 0 and 1."""
    archives: Archives = {}
    for part, eyes in (("training", ("21", "22", "23")), ("test", ("01", "02", "03"))):
        members: Members = {}
        for eye in eyes:
            rng = np.random.default_rng([2, int(eye)])
            vessels = _vessels(rng, (34, 32))
            field = np.full_like(vessels, 255)
            members |= {
                f"{part}/images/{eye}_{part}.tif": picture(_stained(rng, vessels), "tiff"),
                f"{part}/1st_manual/{eye}_manual1.gif": picture(vessels, "gif"),
                f"{part}/mask/{eye}_{part}_mask.gif": picture(field, "gif"),
            }
            if part == "test":
                second = np.roll(vessels, 1, axis=1) // 255
                members[f"test/2nd_manual/{eye}_manual2.gif"] = palette_gif(second)
        archives[f"{part}.zip"] = members
    return archives


def acdc() -> Archives:
    """Two frames a patient, named in Info.cfg; patient090 has no frame 01."""
    frames = {f"training/patient{n:03d}": (1, 9 + n) for n in (1, 2, 3)}
    frames |= {"training/patient090": (4, 11), "testing/patient101": (1, 14)}
    members: Members = {}
    for patient, phases in frames.items():
        folder, name = f"ACDC/database/{patient}", patient.partition("/")[2]
        said = f"ED: {phases[0]}\nES: {phases[1]}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\n"
        members[f"{folder}/Info.cfg"] = said.encode()
        members[f"{folder}/MANDATORY_CITATION.md"] = b"# Citation\n"
        for frame in phases:
            rng = np.random.default_rng([3, int(name[-3:]), frame])
            labels = _rings(rng, (24, 20, 6), (2, 3))
            labels[2:6, 5:12, 1:4] = 1
            scan = _scanned(rng, labels).astype(np.int16)
            path = f"{folder}/{name}_frame{frame:02d}"
            for suffix, voxels in (("", scan), ("_gt", labels)):
                content = nifti(voxels, (1.5, 1.5, 10.0), _CARDIAC_SFORM)
                members[f"{path}{suffix}.nii.gz"] = content
    return {"ACDC.zip": members}


def hippocampus(cases: Sequence[str] = CASES) -> Archives:
    """Task 04 of the Decathlon: small volumes with two labels, and a dataset.json beside them."""
    root = "Task04_Hippocampus"
    members: Members = {}
    for case in cases:
        rng = np.random.default_rng([4, int(case)])
        labels = np.zeros((14, 18, 12), dtype=np.uint8)
        labels[4:10, 9:15, 3:9] = 1
        labels[5:9, 3:9, 4:8] = 2
        labels = np.roll(labels, rng.integers(-2, 3, 3), (0, 1, 2))
        scan = _scanned(rng, labels).astype(np.float32)
        members[f"{root}/imagesTr/hippocampus_{case}.nii.gz"] = nifti(scan)
        members[f"{root}/labelsTr/hippocampus_{case}.nii.gz"] = nifti(labels)
    members[f"{root}/dataset.json"] = json.dumps({"numTraining": len(cases)}).encode()
    return {"Task04_Hippocampus.tar": members}


DATASETS: Mapping[str, Callable[[], Archives]] = {
    "acdc": acdc,
    "drive": drive,
    "msd": hippocampus,
    "stare": stare,
    "wbc": wbc,
}


def _rings(
    rng: np.random.Generator, shape: tuple[int, ...], labels: tuple[int, int]
) -> NDArray[np.uint8]:
    """A ball of one label with a smaller ball of another inside it, a little off the centre."""
    centre = np.array(shape) / 2 + rng.uniform(-1.5, 1.5, len(shape))
    offsets = np.indices(shape) - centre.reshape(-1, *[1] * len(shape))
    scaled = offsets / (np.array(shape) / 2).reshape(-1, *[1] * len(shape))
    radius = np.sqrt((scaled**2).sum(axis=0))
    mask = np.zeros(shape, dtype=np.uint8)
    mask[radius < 0.75] = labels[0]
    mask[radius < 0.4] = labels[1]
    return mask


def _vessels(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A few crooked lines from top to bottom, of value 255."""
    vessels = np.zeros(shape, dtype=np.uint8)
    for start in rng.integers(4, shape[1] - 4, 3):
        columns = np.clip(start + np.cumsum(rng.integers(-1, 2, shape[0])), 0, shape[1] - 2)
        for width in (0, 1):
            vessels[np.arange(shape[0]), columns + width] = 255
    return vessels


def _scanned(rng: np.random.Generator, labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """An image in which each label has its own intensity, with noise and all above zero."""
    return 60.0 + 40.0 * labels + rng.uniform(0.0, 20.0, labels.shape).round()


def _stained(rng: np.random.Generator, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3), darker where the mask is, with noise."""
    grey = 200 - mask[..., None] // 2 + rng.integers(0, 30, (*mask.shape, 3))
    return (grey + np.array([0, 10, 20])).clip(0, 255).astype(np.uint8)
