"""A model for FiftyOne's `apply_model`: keypoints with their confidences, NaN for points that are not present.

    import fiftyone as fo
    from anykeypoint.serving.adapters.fiftyone import keypoint_model

    dataset = fo.Dataset.from_images_dir("photos")
    dataset.apply_model(keypoint_model("accurate", category="animal_face"), label_field="pose")

Needs fiftyone.
"""

from typing import Any

import numpy as np

from ...errors import InputError
from ...images import read_picture
from ...models.shipped import DEFAULT
from ...pose import Pose
from .opening import open_adapter
from .tool_adapter import ToolAdapter, box_of, score_of


def keypoint_model(model: str = DEFAULT, **options: Any) -> Any:
    """A FiftyOne model of an anykeypoint model by name.

    options: as `opening.open_adapter` takes them: category, keypoints, noun, example, detect.
    """
    return as_fiftyone_model(*open_adapter(model, **options))


def as_fiftyone_model(model: Any, adapter: ToolAdapter) -> Any:
    """A `fiftyone.Model` that answers with `fiftyone.Keypoints`, one Keypoint for each object.

    model: what `anykeypoint.load` gives.
    adapter: the category, and where objects are.
    """
    try:
        import fiftyone as fo
    except ImportError:
        raise InputError("FiftyOne's models need the package fiftyone; pip install fiftyone.") from None

    class KeypointModel(fo.Model):
        """Answers with the keypoints of one picture."""

        media_type = "image"
        ragged_batches = True  # pictures of any size, one at a time
        transforms = None
        preprocess = False

        def predict(self, arg: np.ndarray) -> Any:
            """The keypoints of a picture. arg: [H, W, 3] uint8, RGB."""
            poses = adapter.found_by(model, read_picture(arg))
            return fo.Keypoints(keypoints=[_keypoint(fo, adapter, pose) for pose in poses])

    return KeypointModel()


def skeleton_of(adapter: ToolAdapter) -> Any:
    """The category's skeleton for `dataset.default_skeleton`, whose edges count from 0."""
    import fiftyone as fo

    edges = [list(edge) for edge in adapter.category.skeleton]
    return fo.KeypointSkeleton(labels=list(adapter.labels), edges=edges)


def _keypoint(fo: Any, adapter: ToolAdapter, pose: Pose) -> Any:
    """Points are shares of the picture; the box is [x, y, w, h] likewise."""
    size = np.array(pose.image_size, dtype=np.float64)
    shares = np.where(pose.present[:, None], pose.xy / size, np.nan)
    sure = np.where(pose.present, pose.confidence, np.nan)
    box = (np.array(box_of(pose)) / np.array([*size, *size])).tolist()
    return fo.Keypoint(
        label=adapter.category.name,
        points=[tuple(place) for place in shares.tolist()],
        confidence=sure.tolist(),
        bounding_box=box,
        score=score_of(pose),
    )
