"""Frames of a video, which PyAV decodes one after the other: a file is opened once for many.

Frames are counted in the order in which they are shown, from 0. Of a video in luma and chroma, as
almost all are, the luma is taken as it was coded; what else there is becomes red, green and blue.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.reading.contract import Part, Reader
from megamedical.reading.library_errors import blaming

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

VIDEOS = (".avi", ".mp4")
_LOSSLESS = ("ffv1", "huffyuv", "ffvhuff", "rawvideo", "png", "utvideo", "magicyuv", "zlib")
_LARGEST = 1 << 26  # pixels of a frame: more is a damaged or hostile header
_MOST = 1 << 17  # frames: more than an hour at 25 a second
# A file of any other format could name files, or addresses, to be read in its place.
_ONLY = {"format_whitelist": "avi,mov", "protocol_whitelist": "file"}
_ONE_AT_A_TIME = Lock()


class VideoReader(Reader):
    """Frames of a video."""

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        if part.frame is None:
            raise SubjectError("read", path.name, "is a video: which of its frames is meant?")
        return read_frame(path, part.frame)

    def lossy_format(self, path: Path) -> str:
        """See `Reader`."""
        with blaming(path), _opened(path) as container:
            codec = _stream(container, path).codec_context.name
        return "" if codec in _LOSSLESS else f"a video packed with loss ({codec})"

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        del array  # has no name
        return count_frames(path)


def count_frames(path: Path) -> int:
    """How many frames a video holds, none of which is decoded.

    Raises:
        SubjectError: the file is damaged, or holds more than an hour.
        MegaMedicalError: PyAV is not installed.
    """
    frames = 0
    with blaming(path), _opened(path) as container:
        for packet in container.demux(_stream(container, path)):
            frames += packet.size > 0
            if frames > _MOST:
                raise SubjectError("read", path.name, f"holds more than {_MOST} frames")
    return frames


def read_frame(path: Path, number: int) -> NDArray[np.uint8]:
    """One frame of a video: its luma (H, W), or (H, W, 3) where it has none.

    Frames that are asked for in their order are decoded once.

    Raises:
        SubjectError: the file is damaged there or before, or has no such frame.
        MegaMedicalError: PyAV is not installed.
    """
    with blaming(path), _ONE_AT_A_TIME:
        try:
            return _reel(path, path.stat().st_mtime_ns).frame(number)
        except Exception:
            _reel.cache_clear()  # so that the next frame, too, is told what is wrong
            raise


class _Reel:
    """A video that is wound on from frame to frame, and back to its beginning where need be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wind_back()

    def frame(self, number: int) -> NDArray[np.uint8]:
        if number < self._seen:
            self._wind_back()
        for frame in self._frames:
            self._seen += 1
            if self._seen > number:
                return _upright(_pixels(frame), _matrix_of(frame))
        raise SubjectError(
            "read", self._path.name, f"has no frame {number}: {self._seen} can be decoded"
        )

    def _wind_back(self) -> None:
        self._frames = _decoded(self._path)
        self._seen = 0


@lru_cache(maxsize=1)  # the frames of one video come one after the other
def _reel(path: Path, _changed: int) -> _Reel:
    return _Reel(path)


def _decoded(path: Path) -> Iterator[VideoFrame]:
    """All frames up to the first that is damaged: after it, nobody knows which is which."""
    with _opened(path) as container:
        for number, frame in enumerate(container.decode(_stream(container, path))):
            if frame.is_corrupt:
                raise SubjectError("read", path.name, f"is damaged at frame {number}")
            yield frame


def _opened(path: Path) -> InputContainer:
    return _pyav().open(str(path), options=_ONLY)


def _stream(container: InputContainer, path: Path) -> VideoStream:
    """The first video of a container, to be decoded alike on every machine."""
    if not container.streams.video:
        raise SubjectError("read", path.name, "holds no video")
    stream = container.streams.video[0]
    decoder = stream.codec_context
    if decoder.width * decoder.height > _LARGEST:
        raise SubjectError("read", path.name, f"claims frames of more than {_LARGEST} pixels")
    decoder.options = {"max_pixels": str(_LARGEST)}  # for frames that are larger than the first
    decoder.flags |= _pyav().codec.context.Flags.bitexact
    decoder.thread_count = 1
    return stream


def _matrix_of(frame: VideoFrame) -> tuple[int, ...]:
    """How a frame is to be shown: x' = a x + c y and y' = b x + d y, as (a, b, c, d)."""
    said = next((each for each in frame.side_data if each.type.name == "DISPLAYMATRIX"), None)
    if said is None:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack_from("=5i", bytes(said))
    return a, b, c, d


def _upright(pixels: NDArray[Any], matrix: tuple[int, ...]) -> NDArray[Any]:
    """A frame as it is shown: its file may say that it is turned, or mirrored."""
    a, b, c, d = matrix
    if a and d and not (b or c):
        across, down = a, d
    elif b and c and not (a or d):
        pixels = pixels.swapaxes(0, 1)
        across, down = c, b
    else:
        raise ValueError("is to be turned by less than a right angle: save it upright")
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


def _pixels(frame: VideoFrame) -> NDArray[Any]:
    layout = frame.format
    first, plane = layout.components[0], frame.planes[0]
    is_plane = layout.is_planar or len(layout.components) == 1
    if first.is_luma and first.bits == 8 and is_plane and plane.line_size > 0:
        lines = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
        return lines[: frame.height, : frame.width].copy()
    return frame.to_ndarray(format="rgb24")


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError:
        raise MegaMedicalError(
            "Videos are read by PyAV, which is not installed", "pip install 'megamedical[video]'"
        ) from None
    return av
