"""Whether a JPEG stream is whole.

It has no checksum, but its codes have to make sense to its end. libjpeg fills up what is missing
and goes on after what it cannot decode; it warns, which Pillow and libtiff keep to themselves.
"""

from __future__ import annotations


def expect_jpeg(stream: bytes) -> None:
    """Make sure that libjpeg has nothing to say of a stream.

    It is decoded to an eighth of its size, which takes a third of the time of a whole one.

    Raises:
        ValueError: it is damaged or cut off.
    """
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(stream, "GRAY", min_height=1, min_width=1)
    except ValueError as error:
        told = str(error)
        if "subsampling" in told:
            raise ValueError(
                "is a JPEG whose colours are sampled as hardly any are, which cannot be checked: "
                "save it as PNG"
            ) from error
        raise ValueError(f"is damaged or cut off, as libjpeg finds: {told}") from error
