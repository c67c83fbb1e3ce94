"""Pictures, which Pillow decodes: whole, upright, in grey or as label values."""

from megamedical.reading.pictures.reader import PictureReader
from megamedical.reading.pictures.values import grey_of, indices_of

__all__ = ["PictureReader", "grey_of", "indices_of"]
