"""Atlases that are registered to the query, and their masks fused: segmentation before learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.method import About, Method, Support
from benchmark.methods.nearest import similarity

if TYPE_CHECKING:
    import SimpleITK as sitk

_FINE = 1.0  # pixels of blur when what was registered is compared


class Registration(Method):
    """Registers the most similar images of the support to the query, and averages their masks."""

    def __init__(
        self,
        *,
        atlases: int = 5,
        affine_steps: int = 60,
        demons_steps: tuple[int, int] = (40, 20),
        stiffness: float = 1.0,
        sharpness: float = 4.0,
    ) -> None:
        """Choose how.

        Args:
            atlases: images of the support that are registered, at most.
            affine_steps: of gradient descent, at a quarter of the resolution.
            demons_steps: at half of the resolution, and at the whole.
            stiffness: standard deviation of the Gaussian that smooths the displacements after each
                step, in pixels of that resolution.
            sharpness: the power to which a similarity is raised to become a weight.
        """
        self._atlases = atlases
        self._affine_steps = affine_steps
        self._demons_steps = demons_steps
        self._stiffness = stiffness
        self._sharpness = sharpness

    @property
    def about(self) -> About:
        """Name, paper, version."""
        return About(
            "registration",
            follows=(
                "Artaechevarria et al., IEEE TMI 2009, DOI 10.1109/TMI.2008.2010434 (global "
                "weighted voting); Vercauteren et al., NeuroImage 2009, "
                "DOI 10.1016/j.neuroimage.2008.10.040 (diffeomorphic demons)"
            ),
            departs="In 2-D, with soft masks, and of the most similar atlases only.",
        )

    def fit(self, support: Support, seed: int) -> None:  # noqa: ARG002
        """Keep the support; nothing is random."""
        self._support = support

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of the registered masks, weighted by how like the query their images became."""
        found = similarity(queries, self._support.images)
        return np.stack([self._fused(*each) for each in zip(queries, found, strict=True)])

    def _fused(
        self, query: NDArray[np.float32], similarities: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        picked = np.argsort(-similarities, kind="stable")[: self._atlases]
        pairs = np.stack([self._registered(query, int(index)) for index in picked])
        alike = similarity(query[None], pairs[:, 0], _FINE)[0]
        weights = np.maximum(alike, 1e-3) ** self._sharpness  # never all of them nothing
        return np.average(pairs[:, 1], axis=0, weights=weights).clip(0, 1).astype(np.float32)

    def _registered(self, query: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """An image of the support and its mask on the pixels of the query, (2, H, W)."""
        import SimpleITK as sitk

        fixed, moving, mask = (
            sitk.GetImageFromArray(pixels)
            for pixels in (query, self._support.images[index], self._support.masks[index])
        )
        affine = _affine(fixed, moving, self._affine_steps)
        placed = sitk.Resample(moving, fixed, affine)
        field = _demons(fixed, placed, self._demons_steps, self._stiffness)
        both = sitk.CompositeTransform([affine, field])
        warped = [sitk.Resample(image, fixed, both) for image in (moving, mask)]
        return np.stack([sitk.GetArrayFromImage(image) for image in warped])


def _affine(fixed: sitk.Image, moving: sitk.Image, steps: int) -> sitk.Transform:
    """The affine transform, from pixels of `fixed` to those of `moving`, of highest correlation."""
    import SimpleITK as sitk

    transform = sitk.AffineTransform(2)
    transform.SetCenter([(side - 1) / 2 for side in fixed.GetSize()])
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums over threads differ from run to run
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-2, steps)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4])
    method.SetSmoothingSigmasPerLevel([2])
    method.Execute(fixed, moving)
    return transform


def _demons(
    fixed: sitk.Image, moving: sitk.Image, steps: tuple[int, int], stiffness: float
) -> sitk.Transform:
    """The displacements, from pixels of `fixed` to those of `moving`, from coarse to fine."""
    import SimpleITK as sitk

    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfThreads(1)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(stiffness)
    field = sitk.Image(fixed.GetSize(), sitk.sitkVectorFloat64)
    for factor, count in zip((2, 1), steps, strict=True):
        pair = [_shrunk(image, factor) for image in (fixed, moving)]
        demons.SetNumberOfIterations(count)
        field = demons.Execute(*pair, sitk.Resample(field, pair[0]))
    return sitk.DisplacementFieldTransform(sitk.Resample(field, fixed))


def _shrunk(image: sitk.Image, factor: int) -> sitk.Image:
    import SimpleITK as sitk

    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, factor / 2), [factor, factor])
