"""SLEAP's projects (.slp), read through the optional package sleap-io.

A project names frames of videos instead of pictures. Where a video is a list of pictures, their names are taken;
otherwise a frame is the picture VIDEO/FRAME.png (or .jpg), with VIDEO the video's file name without its suffix and
FRAME the number of the frame from 0, with any number of leading zeros.
"""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import InputError
from .document import Labels
from .form import NOUN, LabelForm
from .picture_search import PictureSearch
from .reading import tails

_DIGITS = 9  # frame numbers with fewer digits than this, leading zeros included, are tried


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a project; predicted instances are left out and counted.

    word: the name of the category, where the project has one skeleton; each of several keeps its own name.
    Raises InputError if sleap-io is not installed.
    """
    try:
        import sleap_io
    except ImportError as error:
        raise InputError(
            "SLEAP projects need the package sleap-io; install anykeypoint with the extra 'sleap'."
        ) from error
    if not path.is_file():
        raise InputError(f"There is no SLEAP project {path}; give the .slp file.")
    try:
        project = sleap_io.load_slp(str(path))
    except Exception as error:  # the package and HDF5 below it raise many types of errors
        raise InputError(f"{path} cannot be read as a SLEAP project: {str(error).splitlines()[0]}.") from error
    labels, search = Labels(), PictureSearch(images)
    kinds: dict[int, int] = {}  # identity of a skeleton -> its category
    for skeleton in project.skeletons:
        name = (word or "object") if len(project.skeletons) == 1 else str(skeleton.name or word or "object")
        mirrored = skeleton.symmetry_inds or None  # a project without symmetries says nothing about sides
        kinds[id(skeleton)] = labels.add_category(name, list(skeleton.node_names), skeleton.edge_inds, mirrored)
    for frame in project.labeled_frames:
        names, source = _pictures(frame.video, int(frame.frame_idx)), _source(frame.video, int(frame.frame_idx))
        named = source if isinstance(frame.video.filename, list | tuple) else names[0]
        image = labels.add_image(
            search.find(names, named),
            source=source,
            group=str(PurePosixPath("/".join(names[0].split("/")[-2:])).parent),  # the folder, or the video
        )
        for instance in frame.instances:
            if "Predicted" in type(instance).__name__:
                labels.leave_out("predicted instances")
                continue
            points = np.asarray(instance.numpy(), dtype=np.float64)[:, :2]
            visibility = np.where(np.isfinite(points).all(axis=1), 2, 0)
            labels.add_object(image, kinds[id(instance.skeleton)], points, visibility)
    labels.notes += search.notes()
    return labels


def _pictures(video: Any, frame: int) -> list[str]:
    """The file names that the picture of a frame may have, the likeliest first."""
    if isinstance(video.filename, list | tuple):
        return tails(str(video.filename[frame]))
    stem = PurePosixPath(str(video.filename).replace("\\", "/")).stem
    return [f"{stem}/{frame:0{digits}d}.{end}" for end in ("png", "jpg") for digits in range(1, _DIGITS)]


def _source(video: Any, frame: int) -> str:
    """What the project calls a frame: the path of its picture, or that of its video and its number."""
    if isinstance(video.filename, list | tuple):
        return str(video.filename[frame])
    return f"{video.filename}/{frame}"


FORM = LabelForm(read, "SLEAP projects (.slp), with the extra 'sleap'", NOUN)
