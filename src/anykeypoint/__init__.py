"""Find keypoints of any object from words or from an example.

import anykeypoint as ak
model = ak.load()
pose = model.predict("cat.jpg", ak.category("animal_face"))
pose.draw("out.png")
"""

from typing import TYPE_CHECKING, Any

from .category import Category, Keypoint
from .errors import InputError
from .library.lookup import category, library_names

if TYPE_CHECKING:
    from .detection.detector import Detector
    from .models.fewshot.model import FewShotModel
    from .models.generative.capellm import CapeLLM
    from .models.generative.kptllm import KptLLM
    from .models.matching.model import MatchingModel

__version__ = "0.1.0"
__all__ = [
    "Category",
    "Detection",
    "Example",
    "InputError",
    "Keypoint",
    "Pose",
    "category",
    "detector",
    "library_names",
    "load",
]


def load(
    name: str = "default", device: str = "auto", dtype: str = "float32", image_size: int | None = None
) -> "CapeLLM | KptLLM | MatchingModel | FewShotModel":
    """A model ready to predict.

    name: a shipped model (their base weights are fetched once): "default" (CapeLLM), "fast" (a matcher) or "kpt" (a
    KptLLM); or a folder written by `save_pretrained` or by `anykeypoint convert`, or the id of such a folder on the
    hub; its config.json says which kind of model it is.
    device: "auto" takes a GPU where there is one. dtype: of the language model, or of a matcher's backbone and head;
    few-shot baselines are float32.
    image_size: side in pixels that objects are looked at in, e.g. 336 with the weights of 224; None takes the
    model's own.
    """
    from .models import loading

    return loading.load(name, device, dtype, image_size)


def detector(name: str = "yolov3-tiny", device: str = "auto") -> "Detector":
    """What finds objects by words: `detector().find("street.jpg", "dog; cat")` gives Detections, the surest first.

    name: "yolov3-tiny" (fetched once; knows the words of COCO's 80 kinds), or a folder or hub id with a GroundingDINO,
    OWL-ViT or OWLv2, which take any words. Raises InputError where it cannot be had.
    """
    from .detection import registry

    return registry.load(name, device)


def __getattr__(name: str) -> Any:
    if name == "Pose":  # not imported before it is asked for: the command line starts faster
        from .pose import Pose

        return Pose
    if name == "Detection":
        from .detection.boxes import Detection

        return Detection
    if name == "Example":
        from .example import Example

        return Example
    raise AttributeError(f"module 'anykeypoint' has no attribute {name!r}")
