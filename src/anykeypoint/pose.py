"""Results: the keypoints of one object in a picture (`Pose`), the name of a point, and how a prediction came about.

Coordinates are pixels of the original, upright picture. Points that could not be asked for are NaN, never (0, 0).
Presence is the model's probability that a point is in the picture and visible; confidence is the probability that its
place is right, if there is one. K is the number of keypoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .category import check_edges
from .configs.checks import check_share
from .density import Density, check_covariance, frozen_array, of_tensor
from .density.presence import present_points
from .errors import InputError, first_line
from .geometry import Box, Crop, check_box, check_image_size

if TYPE_CHECKING:
    from PIL import Image

    from .images import ImageSource


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Pose:
    """K keypoints of one object.

    names: names of the keypoints, in the category's order; K is their number.
    xy: [K, 2] float64 in image pixels: the likeliest place of each point, present or not. NaN for a point that could
        not be asked for, as no words and no example say what it is. A point of an object in a box may lie outside the
        picture; of the whole picture, models answer with points inside it.
    confidence: [K] float64 from 0 to 1; NaN where there is no place, and where the model gives no confidence.
    present: [K] bool, whether a point counts as there: its presence is 0.5 or more, or what the caller chose instead.
        Where the presence is unknown, every point with a place is present.
    presence: [K] float64 from 0 to 1, the probability that a point is in the picture and visible; NaN where there is no
        place, and where the model does not say. None stands for NaN everywhere.
    image_size: (width, height) of the upright picture in pixels.
    box: [x, y, w, h] of the object in image pixels, as it was given to the model; None for the whole picture.
    skeleton: edges as pairs of 0-based indices.
    category, image: name of the category and file name of the picture; "" where there is none.
    density: Density by the names in `keys`, of all points or some; None if densities were not requested.
    covariance: [K, 2, 2] in square image pixels, NaN where unknown or without a place; None if all are unknown.
    entropy: [K] entropy in bits of the cell that holds the point, from 0 up, NaN where unknown or without a place; None
        if all are unknown. `with_uncertainty` fills covariance and entropy from the densities.
    box_score: score of the detector that found the box, 0 to 1; None where there was none.
    box_word: the word that the detector found it by; "" where there was none.
    identified: K names that the model itself generated for the points of an example, None for points that it did not
        name; None if it named no point.
    Raises InputError where the fields do not fit together.

    >>> pose = ak.load().predict("examples/cat.jpg", ak.category("animal_face"))
    >>> pose.xy.shape, pose.image_size
    ((9, 2), (451, 300))
    >>> pose.draw("out.png").mode
    'RGB'
    """

    names: list[str]
    xy: np.ndarray
    confidence: np.ndarray
    present: np.ndarray
    image_size: tuple[int, int]
    box: Box | None = None
    skeleton: Sequence[tuple[int, int]] = ()
    category: str = ""
    image: str = ""
    density: Mapping[str, Density] | None = None
    covariance: np.ndarray | None = None
    entropy: np.ndarray | None = None
    box_score: float | None = None
    box_word: str = ""
    identified: Sequence[str | None] | None = None
    presence: np.ndarray = None  # type: ignore[assignment]  # it is an array once the pose is made

    def __post_init__(self) -> None:
        def settle(field: str, value: Any) -> None:  # sets a field of the frozen dataclass to its checked value
            object.__setattr__(self, field, value)

        settle("names", _names(self.names))
        count = len(self.names)
        settle("present", _flags(self.present, count))
        settle("xy", _array(self.xy, "xy", (count, 2)))
        settle("confidence", _array(self.confidence, "confidence", (count,)))
        settle("image_size", check_image_size(self.image_size, "A pose's image_size"))
        check_edges(self.skeleton, count, "A pose's skeleton")
        settle("skeleton", tuple(tuple(int(i) for i in edge) for edge in self.skeleton))
        presence = np.full(count, np.nan) if self.presence is None else self.presence
        settle("presence", _array(presence, "presence", (count,)))
        _check_places(self.xy, self.present, self.names)
        for part in ("confidence", "presence"):
            known = _check_known(part, getattr(self, part), self.placed, self.names)
            if wrong := [value for value in getattr(self, part)[known] if not 0 <= value <= 1]:
                raise InputError(f"A pose's {part} must be 0 to 1, but got {wrong[0]:g}.")
        if self.box is not None:
            settle("box", check_box(self.box))
        if self.box_score is not None:
            settle("box_score", check_share(self.box_score, "A pose's box_score"))
            if self.box is None:
                raise InputError("A pose with a box_score must have the box that it is of; pass box= too.")
        for part in ("category", "image", "box_word"):
            if not isinstance(getattr(self, part), str):
                raise InputError(f"A pose's {part} must be text, but got {getattr(self, part)!r}; pass its name.")
        if self.density is not None:
            settle("density", _densities(self.density, self.keys))
        if self.covariance is not None:
            settle("covariance", _array(self.covariance, "covariance", (count, 2, 2)))
            check_covariance(self.covariance[_check_known("covariance", self.covariance, self.placed, self.names)])
        if self.entropy is not None:
            settle("entropy", _array(self.entropy, "entropy", (count,)))
            known = _check_known("entropy", self.entropy, self.placed, self.names)
            if (low := self.entropy[known] < 0).any():
                raise InputError(f"A pose's entropy must be 0 bits or more, but got {self.entropy[known][low][0]:g}.")
        if self.identified is not None:
            settle("identified", _identified(self.identified, count))

    @property
    def keys(self) -> list[str]:
        """The names made unique, as `density` has them: the second "wheel" is "wheel (2)"."""
        return unique_names(self.names)

    @property
    def placed(self) -> np.ndarray:
        """[K] bool, the points that have a place, present or not: those that could be asked for."""
        return np.isfinite(self.xy).all(axis=1)

    def present_from(self, least: float) -> "Pose":
        """The same pose, in which the points whose presence is `least` or more are present.

        least: from 0 to 1; a point whose presence is unknown is present wherever it has a place.
        """
        return replace(self, present=present_points(self.xy, self.presence, least))

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        parts = [f"{len(self)} keypoints", f"{int(self.present.sum())} present"]
        if self.category:
            parts.insert(0, repr(self.category))
        parts += [f"xy={self.xy.shape}", "image={}x{}".format(*self.image_size)]
        parts.append("no box" if self.box is None else "box")
        if self.box_score is not None:
            parts[-1] += f" of {self.box_word!r} at {self.box_score:.2f}"
        if self.density is not None:
            sizes = {density.grid.shape for density in self.density.values()}
            parts.append(f"density={len(self.density)} of {', '.join(map(str, sorted(sizes)))}")
        if self.covariance is not None:
            parts.append(f"covariance={self.covariance.shape}")
        if self.entropy is not None:
            parts.append(f"entropy={self.entropy.shape}")
        return f"Pose({', '.join(parts)})"

    def draw(self, path: str | Path | None = None, image: "ImageSource | None" = None) -> "Image.Image":
        """The picture with the keypoints drawn on it, RGB.

        path: a file to write it to as well (.png, .jpg or .webp); None writes none.
        image: the picture; None reads the file that the pose names.
        Raises InputError if there is no picture, or it is not of the pose's size.
        """
        from .drawing.overlay import draw_pose, save_picture

        if image is None:
            if not self.image:
                raise InputError("This pose does not know its picture's file; pass the picture as image=.")
            image = self.image
        drawn = draw_pose(image, self)
        if path is not None:
            save_picture(drawn, path)
        return drawn

    def _repr_png_(self) -> bytes | None:
        """The picture with the keypoints as a notebook shows it; None, and so the text, where it cannot be read."""
        from .drawing.sheets import notebook_png

        return notebook_png([self])

    def to_coco(self, image_id: int = 1, annotation_id: int = 1, category_id: int = 1) -> dict[str, Any]:
        """One annotation of COCO's keypoint format (see `forms.poses.coco_annotation`)."""
        from .forms.poses import coco_annotation

        return coco_annotation(self, image_id, annotation_id, category_id)

    def to_csv(self, path: str | Path | None = None) -> str:
        """A table with one line per keypoint under a header line (see `forms.poses.csv_text`).

        path: a file to write it to as well; None writes none.
        """
        from .forms.poses import csv_text, write_csv

        if path is not None:
            write_csv([self], path)
        return csv_text([self])

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON can hold them, null for NaN; `from_dict` reads them back."""
        return {
            "image": self.image,
            "image_size": list(self.image_size),
            "category": self.category,
            "box": None if self.box is None else list(self.box),
            "box_score": self.box_score,
            "box_word": self.box_word,
            "names": list(self.names),
            "xy": _nulls(self.xy),
            "confidence": _nulls(self.confidence),
            "presence": _nulls(self.presence),
            "present": self.present.tolist(),
            "skeleton": [list(edge) for edge in self.skeleton],
            "density": None
            if self.density is None
            else {name: density.to_dict() for name, density in self.density.items()},
            "covariance": None if self.covariance is None else _nulls(self.covariance),
            "entropy": None if self.entropy is None else _nulls(self.entropy),
            "identified": None if self.identified is None else list(self.identified),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Pose":
        """Read what `to_dict` gives. Raises InputError if it is not that."""
        try:
            fields = dict(data)
            for field in ("xy", "confidence", "presence", "covariance", "entropy"):
                if fields.get(field) is not None:
                    fields[field] = np.array(fields[field], dtype=np.float64)  # null becomes NaN
            if fields.get("density") is not None:
                fields["density"] = {name: Density.from_dict(item) for name, item in fields["density"].items()}
            return cls(**fields)
        except InputError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InputError(f"This is not a pose as Pose.to_dict writes it: {first_line(error)}.") from error


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, numbered where a name came before: the second "wheel" becomes "wheel (2)"."""
    taken: list[str] = []
    for name in names:
        key, number = name, 2
        while key in taken:
            key, number = f"{name} ({number})", number + 1
        taken.append(key)
    return taken


def with_uncertainty(pose: Pose) -> Pose:
    """The same pose with `covariance` and `entropy` computed from its densities; NaN for points without one.

    Raises InputError for a pose without densities.
    """
    if not pose.density:
        raise InputError("This pose has no densities to read its uncertainty from; predict with density=True.")
    covariance, entropy = np.full((len(pose), 2, 2), np.nan), np.full(len(pose), np.nan)
    for i, key in enumerate(pose.keys):
        if pose.placed[i] and key in pose.density:
            covariance[i], entropy[i] = pose.density[key].covariance(), pose.density[key].entropy()
    return replace(pose, covariance=covariance, entropy=entropy)


@dataclass(frozen=True)
class Identified:
    """The name of one point of a picture.

    name: generated by the model, or the likeliest of a category's names.
    confidence: from 0 to 1. Of a generated name, the probability of all its tokens and of the end token behind them; of
        a category's name, its probability among the category's names.
    probabilities: probability of each of a category's names, which sum to 1; None without a category.
    """

    name: str
    confidence: float
    probabilities: Mapping[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """The stages of a matcher's prediction; those of a keypoint that could not be asked for are NaN.

    L is the number of decoder layers, h x w of cells that tile the crop.
    pose: the prediction, as `predict` gives it.
    crop: the square that the cells tile, in image pixels.
    attention: [L, K, h, w] cross-attention of each decoder layer over the cells, the mean of its heads (Fig. 8 of the
        fusion paper); the cells of one keypoint sum to 1.
    similarity: [K, h, w] probabilities of the first guess (the proposals); of an evidence head those of the result.
    path: [L + 1, K, 2] in image pixels: the first guess, then the point after each layer; the last is the pose's.
    """

    pose: Pose
    crop: Crop
    attention: np.ndarray = field(repr=False)
    similarity: np.ndarray = field(repr=False)
    path: np.ndarray = field(repr=False)

    def draw(self, path: str | Path | None = None, image: "ImageSource | None" = None) -> "Image.Image":
        """A picture with one row per keypoint (see `draw_explanations`).

        path: a file to write it to as well (.png, .jpg or .webp); None writes none.
        image: the picture; None reads the file that the pose names.
        """
        from .drawing.explanations import draw_explanations
        from .drawing.overlay import save_picture

        if image is None:
            if not self.pose.image:
                raise InputError("This explanation does not know its picture's file; pass the picture as image=.")
            image = self.pose.image
        drawn = draw_explanations(image, [self])
        if path is not None:
            save_picture(drawn, path)
        return drawn


# --- validators ----------------------------------------------------------------------------------------------------


def _array(value: Any, field: str, shape: tuple[int, ...]) -> np.ndarray:
    """A float64 copy of the value that cannot be written to; InputError for another shape."""
    array = frozen_array(value, f"A pose's {field}")
    if array.shape != shape:
        raise InputError(f"A pose's {field} must have shape {shape}, but got {array.shape}; give one row per name.")
    return array


def _names(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise InputError(f"A pose's names must be a list of one or more texts, but got {value!r}.")
    for name in value:
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"A pose's names must be texts that are not empty, but got {name!r}.")
    return list(value)


def _identified(value: Any, count: int) -> tuple[str | None, ...]:
    names = () if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)
    if len(names) != count or not all(name is None or isinstance(name, str) for name in names):
        raise InputError(f"A pose's identified must be {count} names, None for points without one, but got {value!r}.")
    return names


def _flags(value: Any, count: int) -> np.ndarray:
    try:
        array = np.array(of_tensor(value))
    except (ValueError, RuntimeError, TypeError):  # rows of several lengths, or a tensor without numbers
        array = np.array(None)
    if array.dtype != bool or array.shape != (count,):
        raise InputError(
            f"A pose's present must be {count} values of true or false, but got {array.dtype} of shape {array.shape}."
        )
    array.setflags(write=False)
    return array


def _check_places(xy: np.ndarray, present: np.ndarray, names: list[str]) -> None:
    """InputError unless each point has a finite place or NaN alone, and each present one has a place."""
    placed = np.isfinite(xy).all(axis=1)
    if (wrong := present & ~placed).any():
        raise InputError(f"A present point must have a finite xy, but {names[int(wrong.argmax())]!r} has not.")
    if (wrong := ~placed & ~np.isnan(xy).all(axis=1)).any():
        raise InputError(
            f"A point without a place must have NaN for both x and y, but {names[int(wrong.argmax())]!r} has not."
        )


def _check_known(field: str, array: np.ndarray, placed: np.ndarray, names: list[str]) -> np.ndarray:
    """Which points have a value: [K] bool. A row must be finite or NaN as a whole, and NaN where there is no place."""
    rows = array.reshape(len(names), -1)
    unknown = np.isnan(rows).all(axis=1)
    if (wrong := ~unknown & ~np.isfinite(rows).all(axis=1)).any():
        raise InputError(f"A point's {field} must be finite or NaN, but {names[int(wrong.argmax())]!r} has neither.")
    if (wrong := ~unknown & ~placed).any():
        raise InputError(
            f"A point without a place must have NaN for its {field}, but {names[int(wrong.argmax())]!r} has not."
        )
    return ~unknown


def _densities(value: Any, keys: list[str]) -> dict[str, Density]:
    if not isinstance(value, Mapping) or not all(isinstance(item, Density) for item in value.values()):
        raise InputError("A pose's density must map names to Density objects.")
    if odd := [key for key in value if key not in keys]:
        raise InputError(f"A pose's density must be by the names of its points, but got {odd[0]!r}.")
    return {key: value[key] for key in keys if key in value}


def _nulls(array: np.ndarray) -> list[Any]:
    """The array as nested lists, with None for NaN."""
    return np.where(np.isnan(array), np.array(None), array).tolist()
