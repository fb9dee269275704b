"""Stages of a matcher's prediction, drawn: first guess, attention of each decoder layer, and the path of the point.

L is the number of decoder layers, K of keypoints, h x w of cells that tile the crop.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from ..density import Density
from ..errors import InputError
from ..forms.poses import PoseFields
from ..geometry import Crop
from ..images import ImageSource, read_picture
from .overlay import check_size
from .panels import PIXELS, Panel, sheet
from .shapes import colours


class ExplanationFields(Protocol):
    """What an explanation must have to be drawn: plain fields, as `anykeypoint.pose.Explanation` describes them."""

    @property
    def pose(self) -> PoseFields: ...

    @property
    def crop(self) -> Crop: ...

    @property
    def attention(self) -> np.ndarray: ...

    @property
    def similarity(self) -> np.ndarray: ...

    @property
    def path(self) -> np.ndarray: ...


def draw_explanations(image: ImageSource, explanations: Sequence[ExplanationFields], side: int = 180) -> Image.Image:
    """A contact sheet with a row per keypoint that has a place: similarity, attention by layer, path; a new RGB image.

    image: what `images.read_picture` takes, of the poses' size.
    explanations: one per object.
    side: of a panel, in pixels; smaller where there are very many.
    Raises InputError if the sizes differ, or no keypoint has a place.
    """
    picture = read_picture(image)
    panels, columns = [], 1
    for number, one in enumerate(explanations, start=1):
        check_size(one.pose, picture)
        inks, columns = colours(len(one.pose)), len(one.attention) + 2
        for k in np.flatnonzero(np.isfinite(one.pose.xy).all(axis=1)).tolist():
            title = one.pose.names[k] if len(explanations) == 1 else f"{number}: {one.pose.names[k]}"
            stages = [("similarity", one.similarity[k])]
            stages += [(f"attention of layer {i}", grid) for i, grid in enumerate(one.attention[:, k], start=1)]
            for (stage, grid), point in zip(stages, one.path[[0, *range(len(one.attention))], k], strict=True):
                density = Density(one.crop, grid / grid.sum())
                panels.append(Panel(picture, one.crop, inks[k], (title, stage), density, point))
            way = one.path[:, k]
            distance = f"moved {np.hypot(*(way[-1] - way[0])):.1f} pixels"
            panels.append(Panel(picture, one.crop, inks[k], (title, distance), point=way[-1], way=way))
    if not panels:
        raise InputError("These poses have no keypoint with a place, so there is no prediction to explain.")
    return sheet(panels, columns, min(side, max(48, int(np.sqrt(PIXELS / len(panels))))))
