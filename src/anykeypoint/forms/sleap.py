"""SLEAP's projects (.slp), read through the optional package sleap-io.

A project names frames of videos instead of pictures. Where a video is a list of pictures, their names are taken;
otherwise a frame is the picture VIDEO/FRAME.png (or .jpg), with VIDEO the video's file name without its suffix and
FRAME the number of the frame from 0, with any number of leading zeros. Of a package (.pkg.slp), which has copies of the
frames in it, the videos are those that it was made of, so that it has the pictures of the project.
"""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import InputError, first_line
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
        raise InputError(
            f"{path} cannot be read as a SLEAP project ({first_line(error)}); give the .slp file, no export of it."
        ) from error
    labels, search = Labels(), PictureSearch(images)
    kinds: dict[int, int] = {}  # identity of a skeleton -> its category
    for skeleton in project.skeletons:
        name = (word or "object") if len(project.skeletons) == 1 else str(skeleton.name or word or "object")
        mirrored = skeleton.symmetry_inds or None  # a project without symmetries says nothing about sides
        kinds[id(skeleton)] = labels.add_category(name, list(skeleton.node_names), skeleton.edge_inds, mirrored)
    missing = 0  # frames of videos, or of a package, that are no files in the folder
    for frame in project.labeled_frames:
        video, number = _original(frame.video), int(frame.frame_idx)
        names, source = _pictures(video, number), _source(video, number)
        listed = isinstance(video.filename, list | tuple)
        found = search.find(names, source if listed else names[0])
        missing += (video is not frame.video or not listed) and not os.path.isfile(images / found)
        group = str(PurePosixPath("/".join(names[0].split("/")[-2:])).parent)  # the folder, or the video
        image = labels.add_image(found, source=source, group=group)
        for instance in frame.instances:
            if "Predicted" in type(instance).__name__:
                labels.leave_out("predicted instances")
                continue
            points = np.asarray(instance.numpy(), dtype=np.float64)[:, :2]
            visibility = np.where(np.isfinite(points).all(axis=1), 2, 0)
            labels.add_object(image, kinds[id(instance.skeleton)], points, visibility)
    labels.notes += search.notes()
    if missing:
        labels.notes.append(
            f"{missing} labelled frames of {path} are no pictures in {images}; docs/tools.md has the lines that write "
            "them."
        )
    return labels


def _original(video: Any) -> Any:
    """The video that frames in a package were copied from, where it is known; any other video itself."""
    source = getattr(video, "source_video", None)
    return _original(source) if source is not None and _inside(video) else video


def _inside(video: Any) -> str:
    """The name of a video that lies in a package, as in "video0"; "" for all others."""
    packed = str(video.filename).lower().endswith(".slp")
    return str(video.backend.dataset).partition("/")[0] if packed else ""


def _pictures(video: Any, frame: int) -> list[str]:
    """The file names that the picture of a frame may have, the likeliest first."""
    if isinstance(video.filename, list | tuple):
        return tails(str(video.filename[frame]))
    place = PurePosixPath(str(video.filename).replace("\\", "/"))
    ends = [f"{frame:0{digits}d}.{end}" for end in ("png", "jpg") for digits in range(1, _DIGITS)]
    return [f"{folder}/{end}" for folder in tails(str(place.with_suffix("") / _inside(video))) for end in ends]


def _source(video: Any, frame: int) -> str:
    """What the project calls a frame: the path of its picture, or that of its video and its number."""
    if isinstance(video.filename, list | tuple):
        return str(video.filename[frame])
    return "/".join(filter(None, (str(video.filename), _inside(video), str(frame))))


FORM = LabelForm(read, "SLEAP projects (.slp), with the extra 'sleap'", NOUN)
