"""How a matcher came to its answer: where it looked, where the points seemed to be at first, and how they moved.

Letters: L decoder layers, K keypoints, h x w cells of the crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from .density import Density
from .draw import check_size, colours, save_picture
from .errors import InputError
from .geometry import Crop
from .images import ImageSource, read_image
from .panels import PIXELS, Panel, sheet
from .pose import Pose


@dataclass(frozen=True, eq=False)
class Explanation:
    """The stages of one answer; those of an absent keypoint are NaN.

    pose: the answer, as `predict` gives it. crop: what the cells tile, in image pixels.
    attention: [L, K, h, w], how each decoder layer's cross-attention is shared out over the cells, the mean of its
        heads (the fusion paper's Fig. 8); a keypoint's cells sum to 1.
    similarity: [K, h, w], the probabilities of the first guess (the proposals); of an evidence head the answer's own.
    path: [L + 1, K, 2] image pixels, from the first guess on the answer of each layer; the last is the pose's.
    """

    pose: Pose
    crop: Crop
    attention: np.ndarray = field(repr=False)
    similarity: np.ndarray = field(repr=False)
    path: np.ndarray = field(repr=False)

    def draw(self, path: str | Path | None = None, image: ImageSource | None = None) -> Image.Image:
        """A row per keypoint, see `draw_explanations`; written to `path` too, if given (.png, .jpg or .webp).

        image: the picture; by default it is read from the file the pose names.
        """
        if image is None:
            if not self.pose.image:
                raise InputError("This explanation does not know its picture's file; pass the picture as image=.")
            image = self.pose.image
        drawn = draw_explanations(image, [self])
        if path is not None:
            save_picture(drawn, path)
        return drawn


def draw_explanations(image: ImageSource, explanations: Sequence[Explanation], side: int = 180) -> Image.Image:
    """A contact sheet, one row per present keypoint: similarity, attention layer by layer, the path; a new RGB image.

    image: what `read_image` takes, of the poses' size; panels are `side` pixels wide, less where there are very many.
    Raises InputError if the sizes differ, or no keypoint is present.
    """
    picture = read_image(image)
    panels, columns = [], 1
    for number, one in enumerate(explanations, start=1):
        check_size(one.pose, picture)
        inks, columns = colours(len(one.pose)), len(one.attention) + 2
        for k in np.flatnonzero(one.pose.present).tolist():
            title = one.pose.names[k] if len(explanations) == 1 else f"{number}: {one.pose.names[k]}"
            stages = [("similarity", one.similarity[k])]
            stages += [(f"layer {i} looks", grid) for i, grid in enumerate(one.attention[:, k], start=1)]
            for (told, grid), point in zip(stages, one.path[[0, *range(len(one.attention))], k], strict=True):
                density = Density(one.crop, grid / grid.sum())
                panels.append(Panel(picture, one.crop, inks[k], (title, told), density, point))
            way = one.path[:, k]
            told = f"moved {np.hypot(*(way[-1] - way[0])):.1f} pixels"
            panels.append(Panel(picture, one.crop, inks[k], (title, told), point=way[-1], way=way))
    if not panels:
        raise InputError("These poses have no present keypoint whose finding could be shown.")
    return sheet(panels, columns, min(side, max(48, int(np.sqrt(PIXELS / len(panels))))))
