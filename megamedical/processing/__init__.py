"""From a scan and its labels to slices: grid, resampling, intensities, slicing."""
