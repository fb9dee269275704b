"""A function for CVAT's automatic annotation (`cvat-cli task auto-annotate`, or an agent): skeletons with their points.

    cvat-cli task auto-annotate 42 --function-module anykeypoint.serving.adapters.cvat \\
        -p model=str:accurate -p category=str:animal_face

CVAT matches by names: the task needs a label of the type skeleton that is named like the category, with points that are
named like its points (docs/tools.md). Needs cvat-sdk, CVAT's own package.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ...images import read_picture
from ...models.shipped import DEFAULT
from ...pose import Pose
from .opening import open_adapter
from .tool_adapter import ToolAdapter, box_of, score_of

if TYPE_CHECKING:
    from PIL import Image

OBJECT = 0  # id of the skeleton's label in the spec; its points have those of their places in the category


class CvatFunction:
    """What CVAT calls a detection function: `spec` says what it finds, `detect` finds it in one picture.

    model: what `anykeypoint.load` gives.
    adapter: the category, and where objects are.
    """

    def __init__(self, model: Any, adapter: ToolAdapter) -> None:
        self.model, self.adapter, self._cvat = model, adapter, _auto_annotation()
        points = [self._cvat.keypoint_spec(label, k) for k, label in enumerate(adapter.labels)]
        skeleton = self._cvat.skeleton_label_spec(adapter.category.name, OBJECT, points)
        self.spec = self._cvat.DetectionFunctionSpec(labels=[skeleton])

    def detect(self, context: Any, image: "Image.Image") -> list[Any]:
        """The skeletons of a picture.

        context: CVAT's; objects whose mean confidence is below its `conf_threshold` are left out.
        image: the frame.
        """
        least = context.conf_threshold or 0.0
        poses = self.adapter.found_by(self.model, read_picture(image))
        return [self._skeleton(pose) for pose in poses if score_of(pose) >= least]

    def _skeleton(self, pose: Pose) -> Any:
        """CVAT wants every point of a skeleton: one that is not present is outside, at its likeliest place."""
        x, y, w, h = box_of(pose)
        places = np.where(np.isfinite(pose.xy), pose.xy, (x + w / 2, y + h / 2)).tolist()
        elements = [
            self._cvat.keypoint(k, place, outside=not present)
            for k, (place, present) in enumerate(zip(places, pose.present.tolist(), strict=True))
        ]
        return self._cvat.skeleton(OBJECT, elements)


def create(model: str = DEFAULT, **options: Any) -> CvatFunction:
    """The function with a model by name; CVAT's command line calls this with its `-p` options.

    options: as `opening.open_adapter` takes them: category, keypoints, noun, example, detect.
    """
    loaded, adapter = open_adapter(model, **options)
    return CvatFunction(loaded, adapter)


def _auto_annotation() -> Any:
    try:
        from cvat_sdk import auto_annotation
    except ImportError:
        raise InputError("CVAT's functions need the package cvat-sdk; pip install cvat-sdk.") from None
    return auto_annotation
