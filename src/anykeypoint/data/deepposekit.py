"""Pictures inside a DeepPoseKit file (.h5), as Vinegar Fly and Desert Locust are given out.

Arrays: images (N, H, W, 1 or 3) of bytes, annotations (N, K, 2) in image pixels, annotated (N, K). The numbers by which
other label files name the pictures are places of an order that was shuffled, so a picture is found by its points.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError

CLOSE = 0.5  # pixels: how near each labelled point must be to be the same; labels may have been rounded
_QUALITY = 95  # of JPEG, as the usual conversion has it


@dataclass(frozen=True)
class Frame:
    """A picture in a file: its place, from 0."""

    path: Path
    place: int


@dataclass(frozen=True)
class Frames:
    """A file and its points, (N, K, 2)."""

    path: Path
    points: np.ndarray

    def find(self, points: np.ndarray, visibility: np.ndarray) -> list[Frame]:
        """The pictures whose points lie where those of an object do: (K, 2) image pixels, and (K,), above 0 where
        labelled."""
        there = visibility > 0
        if points.shape != self.points.shape[1:] or not there.any():
            return []
        near = np.abs(self.points[:, there] - points[there]).max(axis=(1, 2)) <= CLOSE  # NaN compares as False
        return [Frame(self.path, int(place)) for place in np.flatnonzero(near)]


def installed() -> bool:
    """Is the package there that such files need?"""
    try:
        import h5py  # noqa: F401
    except ImportError:
        return False
    return True


def read_frames(path: Path) -> Frames | None:
    """The points of a file; None if it is an HDF5 file of another kind. Raises InputError if it is none."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if not all(isinstance(file.get(key), h5py.Dataset) for key in ("images", "annotations")):
                return None
            images, points = file["images"], file["annotations"]
            if not (
                images.ndim == 4
                and images.dtype == np.uint8
                and images.shape[3] in (1, 3)
                and points.ndim == 3
                and points.dtype.kind in "fiu"
                and points.shape[::2] == (images.shape[0], 2)
            ):
                raise InputError(
                    f"{path} must hold images (N, H, W, 1 or 3) of bytes and annotations (N, K, 2), but has "
                    f"{images.shape} {images.dtype} and {points.shape} {points.dtype}."
                )
            return Frames(path, points[()].astype(np.float64))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as an HDF5 file: {str(error).splitlines()[0].rstrip('.')}.") from error


def write_frame(frame: Frame, out: Path) -> None:
    """Write the picture to `out`, in the form of its ending. Three channels are taken for OpenCV's, blue first."""
    import h5py

    with h5py.File(frame.path, "r") as file:
        pixels: np.ndarray = file["images"][frame.place]
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels[..., ::-1]))
    options: dict[str, Any] = {"quality": _QUALITY} if out.suffix.lower() in (".jpg", ".jpeg") else {}
    image.save(out, **options)
