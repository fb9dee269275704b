"""From a name to a detector on a device."""

from pathlib import Path

from ..errors import InputError
from ..models.loading import pick_device
from ..models.sources.hub import read_config
from .detector import Detector
from .yolo import MODEL_TYPE, YoloTiny

OPEN = ("grounding-dino", "mm-grounding-dino", "owlvit", "owlv2")  # model types of transformers that take any words


def load(name: str, device: str = "auto") -> Detector:
    """See `anykeypoint.detector`."""
    place = pick_device(device)
    if name == MODEL_TYPE:
        from ..models.sources.packages import fetch

        found: Detector = YoloTiny.load(fetch(name))
    elif (name and Path(name).is_dir()) or (name.count("/") == 1 and not name.startswith((".", "/", "~"))):
        found = _from_source(name)
    else:
        raise InputError(
            f"There is no detector {name!r}; give {MODEL_TYPE}, or a folder or hub id of a GroundingDINO, OWL-ViT or "
            "OWLv2, as IDEA-Research/grounding-dino-tiny."
        )
    found.network.to(place)
    return found


def _from_source(source: str) -> Detector:
    kind = read_config(source).get("model_type")
    if kind == MODEL_TYPE and Path(source).is_dir():
        return YoloTiny.load(Path(source))
    if kind not in OPEN:
        raise InputError(
            f"{source} holds a model of type {kind}, but a detector must be of type {', '.join((MODEL_TYPE, *OPEN))}."
        )
    from .open_vocabulary import GroundingDino, Owl

    return (Owl if kind.startswith("owl") else GroundingDino).load(source, kind)
