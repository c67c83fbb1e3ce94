"""What augmentation does, how often and how much: by default the paper's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from torch import Tensor

    from universeg.training.augmentation.draws import Seed


def _ascending(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"a range goes from the lower to the higher end, not {list(ends)}")
    return ends


def _odd(pixels: int) -> int:
    if pixels % 2 == 0:
        raise ValueError(f"a kernel has a middle, so it has an odd number of pixels, not {pixels}")
    return pixels


Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
Amounts = Annotated[
    tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(_ascending)
]
Factors = Annotated[
    tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], AfterValidator(_ascending)
]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Operation(_Settings):
    """One row of the table. Ranges are drawn from uniformly."""

    probability: Share = 0.5


class Affine(Operation):
    """Turn, scale and shift, about the centre."""

    degrees: Range = (0, 360)
    """Anticlockwise."""
    translate: Share = 0.2
    """Along each axis by up to this share of its length, either way."""
    scale: Factors = (0.8, 1.1)
    """Above 1 enlarges what is seen."""


class Elastic(Operation):
    """Displace each pixel by alpha times noise in [-1, 1] smoothed by a Gaussian of sigma."""

    alpha: Amounts = (1, 2)
    """In halves of the image's side, as the authors' library has it: smoothing leaves about 3 %."""
    sigma: Factors = (6, 8)
    """In pixels of an image of 128 x 128; larger images are deformed alike."""


class BrightnessContrast(Operation):
    """The grey value x becomes contrast * x + brightness."""

    brightness: Range = (-0.1, 0.1)
    contrast: Amounts = (0.8, 1.2)


class Blur(Operation):
    """Smooth by a Gaussian, cut off to a kernel of so many pixels."""

    kernel: Annotated[int, Field(ge=1), AfterValidator(_odd)] = 5
    sigma: Factors = (0.1, 1.1)
    """In pixels."""


class Noise(Operation):
    """Add Gaussian noise."""

    mean: Range = (0, 0.05)
    std: Amounts = (0, 0.05)


class Sharpness(Operation):
    """Move away from a smoothed image: 0 smooths, 1 changes nothing, above 1 sharpens."""

    factor: Amounts = (0, 5)


class _Level(_Settings):
    @classmethod
    def none(cls) -> Self:
        """Each operation with probability 0."""
        return cls.model_validate({name: {"probability": 0} for name in cls.model_fields})

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, given: Any) -> Any:  # noqa: ANN401
        """What is not said of an operation is that of this level, not of the operation's class."""
        if not isinstance(given, Mapping):
            return given
        return {
            name: cls.model_fields[name].default.model_dump() | value
            if name in cls.model_fields and isinstance(value, Mapping)
            else value
            for name, value in given.items()
        }


class TaskAugmentation(_Level):
    """Drawn once for the query and its support."""

    flip_intensities: Operation = Operation()
    flip_labels: Operation = Operation()
    flip_horizontally: Operation = Operation()
    flip_vertically: Operation = Operation()
    label_edges: Operation = Operation()
    affine: Affine = Affine()
    elastic: Elastic = Elastic(probability=0.25)
    brightness_contrast: BrightnessContrast = BrightnessContrast()
    blur: Blur = Blur()
    noise: Noise = Noise()
    sharpness: Sharpness = Sharpness()


class ImageAugmentation(_Level):
    """Drawn anew for each image, after the augmentation of the task."""

    affine: Affine = Affine()
    elastic: Elastic = Elastic(probability=0.8, alpha=(1, 2.5), sigma=(7, 8))
    brightness_contrast: BrightnessContrast = BrightnessContrast(
        probability=0.25, contrast=(0.5, 1.5)
    )
    blur: Blur = Blur(probability=0.25)
    noise: Noise = Noise(probability=0.25)
    sharpness: Sharpness = Sharpness(probability=0.25)


class Augmentation(_Settings):
    """How episodes are augmented."""

    task: TaskAugmentation = TaskAugmentation()
    image: ImageAugmentation = ImageAugmentation()

    @classmethod
    def none(cls) -> Self:
        """No augmentation at all."""
        return cls(task=TaskAugmentation.none(), image=ImageAugmentation.none())

    def __call__(
        self, images: Tensor, masks: Tensor, seeds: Sequence[Seed]
    ) -> tuple[Tensor, Tensor]:
        """Augment episodes, as `Store.episodes(augment=...)` asks for it; see `augment_batch`."""
        from universeg.training.augmentation.batch import augment_batch

        return augment_batch(images, masks, self, seeds)
