"""Pictures inside a DeepPoseKit file (.h5), the form in which Vinegar Fly and Desert Locust are published.

The file has the arrays images (N, H, W, 1 or 3) of bytes, annotations (N, K, 2) in image pixels and annotated (N, K).
Other label files name these pictures by numbers of a shuffled order that is not published, so a picture is identified
by its points.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError

CLOSE = 0.5  # largest distance in pixels between two labels of one point, as labels may have been rounded
_QUALITY = 95  # JPEG quality, that of the usual conversion


@dataclass(frozen=True)
class Frame:
    """A picture in a file.

    path: the file.
    index: index of the picture in the file, from 0.
    """

    path: Path
    index: int


@dataclass(frozen=True)
class Frames:
    """A file and the points of its pictures, (N, K, 2) in image pixels."""

    path: Path
    points: np.ndarray

    def find(self, points: np.ndarray, visibility: np.ndarray) -> list[Frame]:
        """The pictures whose points are those of an object.

        points: (K, 2) in image pixels.
        visibility: (K,), above 0 where the point is labelled.
        """
        labelled = visibility > 0
        if points.shape != self.points.shape[1:] or not labelled.any():
            return []
        near = np.abs(self.points[:, labelled] - points[labelled]).max(axis=(1, 2)) <= CLOSE  # NaN compares as False
        return [Frame(self.path, int(index)) for index in np.flatnonzero(near)]


def installed() -> bool:
    """Whether h5py is installed, which such files need."""
    try:
        import h5py  # noqa: F401
    except ImportError:
        return False
    return True


def read_frames(path: Path) -> Frames | None:
    """The points of a file; None for an HDF5 file of another kind. Raises InputError for what is no HDF5 file."""
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
    """Write the picture to `out`, in the format of its suffix. Three channels are in OpenCV's order, blue first."""
    import h5py

    with h5py.File(frame.path, "r") as file:
        pixels: np.ndarray = file["images"][frame.index]
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels[..., ::-1]))
    options: dict[str, Any] = {"quality": _QUALITY} if out.suffix.lower() in (".jpg", ".jpeg") else {}
    image.save(out, **options)
