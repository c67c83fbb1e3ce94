"""MegaMedical: public medical segmentation datasets, as one store of slices."""
