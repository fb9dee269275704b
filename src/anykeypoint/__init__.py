"""Find keypoints of any object from words or from an example.

import anykeypoint as ak
model = ak.load()
pose = model.predict("cat.jpg", ak.category("animal_face"))
pose.draw("out.png")
"""

import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, overload

from .category import Category, Keypoint
from .errors import InputError
from .library.lookup import category, library_names

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from .detection.boxes import Detection
    from .detection.detector import Detector
    from .example import Example
    from .images import read_picture
    from .models.fewshot.fewshot_model import FewShotModel
    from .models.generative.capellm import CapeLLM
    from .models.generative.kptllm import KptLLM
    from .models.matching.adapted.adapted_model import AdaptedModel
    from .models.matching.model import MatchingModel
    from .pose import Pose
    from .poses import Poses, show
    from .serving.client import Client

if sys.platform == "darwin":
    # Torch reads it when it is loaded: what Apple's GPUs lack is then computed on the CPU, and torch says so once.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
    # OpenMP reads it when torch is loaded: how often a thread that waits looks before it sleeps. With its own 300,000
    # such threads hold the cores that the others need beside a busy process: a prediction takes many times as long.
    os.environ["GOMP_SPINCOUNT"] = "10000"

__version__ = "0.2.0"
__all__ = [
    "Category",
    "Client",
    "Detection",
    "Example",
    "InputError",
    "Keypoint",
    "Pose",
    "Poses",
    "adapt",
    "category",
    "detector",
    "library_names",
    "load",
    "read_picture",
    "show",
]


@overload
def load(
    name: Literal["accurate", "fast"] = "accurate",
    device: str = "auto",
    dtype: "str | torch.dtype" = "float32",
    image_size: int | None = None,
) -> "MatchingModel": ...


@overload
def load(
    name: Literal["capellm-small"],
    device: str = "auto",
    dtype: "str | torch.dtype" = "float32",
    image_size: int | None = None,
) -> "CapeLLM": ...


@overload
def load(
    name: Literal["kptllm-small"],
    device: str = "auto",
    dtype: "str | torch.dtype" = "float32",
    image_size: int | None = None,
) -> "KptLLM": ...


@overload
def load(
    name: str, device: str = "auto", dtype: "str | torch.dtype" = "float32", image_size: int | None = None
) -> "CapeLLM | KptLLM | MatchingModel | FewShotModel | AdaptedModel": ...


def load(
    name: str = "accurate", device: str = "auto", dtype: "str | torch.dtype" = "float32", image_size: int | None = None
) -> "CapeLLM | KptLLM | MatchingModel | FewShotModel | AdaptedModel":
    """A model ready to predict.

    name: a shipped model, whose base weights are fetched once: "accurate" (a matcher: from words, an example or both),
        "fast" (the same in less time), "capellm-small" (a CapeLLM: from words) or "kptllm-small" (a KptLLM: from words
        or examples; names points). Or a folder written by `save_pretrained` or `anykeypoint convert`, or the id of such
        a folder on the hub; its config.json says which kind of model it is. In a checkout of the repository also
        "accurate@held-out" and so on: the checkpoint of the same recipe that was trained on the training data alone,
        for measuring.
    device: "auto" takes a GPU where there is one: CUDA's, else Apple's (MPS), else the CPU.
    dtype: "float32", or "bfloat16" or "float16" (or torch's own), in which the language model, or a matcher's head and
        most image encoders, compute; what half precision would cost too much stays float32. Few-shot baselines are
        float32.
    image_size: side in pixels that crops are resized to, e.g. 336 with weights that were trained with 224; None takes
        the model's own.

    Raises InputError where there is no such model, its files do not fit, or the device cannot be used.

    >>> model = ak.load("accurate")
    >>> model.predict("examples/cat.jpg", ["nose", "left eye"])
    Pose('object', 2 keypoints, ...)
    """
    from .models import loading

    return loading.load(name, device, dtype, image_size)


def adapt(
    data: str,
    out: "str | Path",
    start: str = "accurate",
    images: "str | Path | None" = None,
    device: str = "auto",
    category: str | None = None,
) -> "AdaptedModel":
    """A matcher adapted to a new kind of object with 20 to 50 labelled pictures; it answers without examples.

    data: the labels, as "coco:FILE" or another form (`anykeypoint data list`).
    out: the folder of the new model, which `load` reads; no model may be in it. adapting.json in it says how near it
        comes to left-out labels.
    start: the matcher to start from: a shipped one, a folder or a hub id.
    images: the folder that file names in the labels are relative to, if the labels do not say it.
    device: "auto" takes a GPU where there is one.
    category: the name or id of the category, where the labels have several.

    Warns with a ReadingWarning of what is left out of the labels. Raises InputError where the labels cannot be used, or
    are of several categories of which none is chosen, or of too few objects, where the model to start from is no
    matcher, and where the folder holds a model or none can be written there.

    >>> model = ak.adapt("coco:mine/labels.json", "mine/model", images="mine/pictures")
    >>> model.predict("examples/cat.jpg").names == model.category.names
    True
    """
    from pathlib import Path

    from .errors import ReadingWarning
    from .training.adapting.adapt import adapt as adapted
    from .training.adapting.adapt import write
    from .training.adapting.beforehand import objects_for

    def say(sentence: str) -> None:
        warnings.warn(sentence.strip(), ReadingWarning, stacklevel=5)  # the caller of this function

    objects = objects_for(data, out, start, say, None if images is None else Path(images), category)
    model, report = adapted(load(start, device), objects)
    write(model, report, Path(out))
    return model


def detector(name: str = "yolov3-tiny", device: str = "auto") -> "Detector":
    """A detector of objects by words: `detector().find("street.jpg", "dog; cat")` gives Detections, best scores first.

    name: "yolov3-tiny" (fetched once; knows the words of COCO's 80 kinds), or a folder or hub id with a GroundingDINO,
        OWL-ViT or OWLv2, which take any words.
    device: "auto" takes a GPU where there is one.

    Raises InputError where there is no such detector or it cannot be loaded.

    >>> [found.word for found in ak.detector().find("examples/cat.jpg", "cat")]
    ['cat']
    """
    from .detection import registry

    return registry.load(name, device)


# Names that are imported when they are first used, so that the command line starts quickly: name -> module.
_LAZY = {
    "Client": "serving.client",
    "Pose": "pose",
    "Poses": "poses",
    "show": "poses",
    "Detection": "detection.boxes",
    "Example": "example",
    "read_picture": "images",
}


if not TYPE_CHECKING:  # type checkers have them from above, and would take any name for known

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'anykeypoint' has no attribute {name!r}")
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    """The public names, for completion in a notebook; those of `_LAZY` are not imported for it."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
