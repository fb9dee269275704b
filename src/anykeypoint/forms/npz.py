"""Labels as numpy arrays in one .npz file, for scripts.

  images  [N] text, file names            points  [N, K, 2] image pixels, NaN where absent
  names   [K] text, the keypoints         boxes   [N, 4] x, y, w, h (may be left out)
  category [] text (may be left out)

An .npz is a zip archive of arrays, and a hostile one can harm its reader: an array of Python objects runs code when it
is loaded, and a small archive can unpack to more than the memory holds. Both are refused from their headers alone.
"""

import zipfile
from pathlib import Path

import numpy as np

from ..errors import InputError
from .document import Labels
from .form import NOUN, LabelForm
from .reading import MAX_BYTES, check_is_file

_NEEDED = ("images", "points", "names")
_ALLOWED = (*_NEEDED, "boxes", "category")


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a file.

    word: the name of the category, where the file has no array `category`.
    Raises InputError for arrays of Python objects, archives that unpack to more than `reading.MAX_BYTES`, arrays of
    other names, and shapes that do not fit each other.
    """
    arrays = _arrays(path)
    if missing := [key for key in _NEEDED if key not in arrays]:
        raise InputError(f"{path} has no array {missing[0]!r}; it needs {', '.join(_NEEDED)}.")
    files, points, names = (arrays[key] for key in _NEEDED)
    for key in ("images", "names", "category"):
        if key in arrays and arrays[key].dtype.kind != "U":
            raise InputError(f"{path}, array {key!r}, must be text, but is {arrays[key].dtype}.")
    for key in ("points", "boxes"):
        if key in arrays and arrays[key].dtype.kind not in "fiu":
            raise InputError(f"{path}, array {key!r}, must be numbers, but is {arrays[key].dtype}.")
    count, per_object = files.size, names.size
    boxes = arrays.get("boxes")
    for key, array, shape in (
        ("images", files, (count,)),
        ("names", names, (per_object,)),
        ("points", points, (count, per_object, 2)),
        ("boxes", boxes, (count, 4)),
    ):
        if array is not None and array.shape != shape:
            raise InputError(f"{path}, array {key!r}, must have the shape {shape}, but has {array.shape}.")
    points = points.astype(np.float64)
    finite = np.isfinite(points)
    labels = Labels()
    kind = labels.add_category(str(arrays.get("category", word or "object")), [str(name) for name in names])
    for i, name in enumerate(files):
        with labels.catching():
            if np.isinf(points[i]).any() or (finite[i, :, 0] != finite[i, :, 1]).any():
                raise InputError(
                    f"{path}, array 'points', row {i}, must have both of x and y finite, or both NaN where a point is "
                    "absent."
                )
            visibility = np.where(finite[i, :, 0], 2, 0)
            box = None if boxes is None else boxes[i].tolist()
            labels.add_object(labels.add_image(str(name)), kind, points[i], visibility, box)
    return labels


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive by name, once its headers are known to be harmless."""
    check_is_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if odd := [
                name for name in names if name.removesuffix(".npy") not in _ALLOWED or not name.endswith(".npy")
            ]:
                raise InputError(f"{path} holds {odd[0][:60]!r}; only the arrays {', '.join(_ALLOWED)} belong in it.")
            if len(set(names)) < len(names):
                raise InputError(f"{path} holds two arrays of one name; write it again.")
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise InputError(
                    f"{path} unpacks to more than {MAX_BYTES >> 20} MiB; write the labels to several files."
                )
        with np.load(path, allow_pickle=False) as loaded:
            return {key: loaded[key] for key in loaded.files}
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        reason = "it holds Python objects" if "allow_pickle" in str(error) else str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path} is not a .npz file of plain arrays: {reason}.") from error


FORM = LabelForm(read, "numpy arrays images, points, names, boxes and category (.npz)", NOUN)
