"""What a file is by its beginning: a picture that is not read here, or one that blurs values."""

from __future__ import annotations

START = 1 << 16  # bytes that are looked at
_BEGINNINGS = (
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"8BPS", "a file of Photoshop"),
    (b"v/1\x01", "OpenEXR"),
    (b"SIMPLE  =", "FITS"),
    (b"%PDF", "PDF"),
    (b"gimp xcf", "a file of GIMP"),
)
_BRANDS = {b"avi": "AVIF", b"hei": "HEIC", b"hev": "HEIC", b"mif": "HEIC", b"msf": "HEIC"}
_MARKUP = (b"<svg", b"<!doctype html", b"<html", b"<?xml")
_LOSSLESS_WEBP, _STREAM_OF_2000, _CODING = b"VP8L", b"\xff\x4f\xff\x51", b"\xff\x52"
_TRANSFORM = 13  # bytes from there to the transform of JPEG 2000: 0 rounds, 1 does not
_READ_ELSEWHERE = (
    (b"NRRD000", "NRRD (.nrrd)"),
    (b"ObjectType", "MetaImage (.mha)"),
    (b"NDims", "MetaImage (.mha)"),
    (b"\x93NUMPY", "an array of NumPy (.npy)"),
    (b"\x89HDF", "HDF5 (.h5)"),
    (b"MATLAB ", "MATLAB (.mat)"),
)
_NIFTI = ((344, (b"n+1\0", b"ni1\0")), (4, (b"n+2\0", b"ni2\0")))  # where, and what it says


def refusal_of(start: bytes) -> str:
    """What to say of a file that begins so and is no picture; "" where nobody knows what it is."""
    elsewhere = next((kind for magic, kind in _READ_ELSEWHERE if start.startswith(magic)), "")
    if any(start[place : place + 4] in words for place, words in _NIFTI):
        elsewhere = "NIfTI (.nii, .nii.gz)"
    if elsewhere:
        return f"is {elsewhere} under another name, or zipped: unzip it, and give it its own name"
    kind = _foreign_kind(start)
    return f"is {kind}, which is not read here: save it as PNG" if kind else ""


def _foreign_kind(start: bytes) -> str:
    if start[4:8] == b"ftyp":
        brands = (start[place : place + 3] for place in (8, *range(16, start[3], 4)))
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "a video")
    if start.lstrip()[:20].lower().startswith(_MARKUP):
        return "a web page, or a drawing in text"
    return next((kind for magic, kind in _BEGINNINGS if start.startswith(magic)), "")


def lossy_kind(start: bytes) -> str:
    """The format of a picture that begins so, if it gives values near to those it was made of."""
    if start.startswith(b"\xff\xd8\xff"):
        return "a JPEG"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP" and _LOSSLESS_WEBP not in start:
        return "a WebP with loss"
    stream = start.find(_STREAM_OF_2000)
    coding = start.find(_CODING, stream + len(_STREAM_OF_2000)) if stream >= 0 else -1
    if coding >= 0 and start[coding + _TRANSFORM : coding + _TRANSFORM + 1] == b"\0":
        return "a JPEG 2000 with loss"
    return ""
