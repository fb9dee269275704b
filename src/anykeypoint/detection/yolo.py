"""The detector that needs no network access: YOLOv3-tiny, small and quick on a CPU, for the 80 classes of COCO."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..configs.checks import near_names
from ..errors import InputError
from ..models.folders import fill, read_settings
from .boxes import Detection
from .darknet import SIDE, YoloTinyNetwork, decode
from .detector import Detector, as_detections
from .letterbox import letterbox

MODEL_TYPE = "yolov3-tiny"


class YoloTiny(Detector):
    """Detects the classes of COCO, by COCO's own words or the other words for them in `coco_words.json`."""

    usual_score = 0.25

    def __init__(self, network: YoloTinyNetwork) -> None:
        self.network = network.eval().requires_grad_(False)

    @classmethod
    def load(cls, source: str | Path, model_type: str = MODEL_TYPE) -> "YoloTiny":
        """The detector of a folder with config.json, which may hold a `width`, and model.safetensors.

        Raises InputError where one of the files is missing, damaged or of another model.
        """
        folder = Path(source)
        settings = read_settings(folder, MODEL_TYPE)
        width = settings.pop("width", 16)
        if settings or isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= 64:
            raise InputError(
                f"{folder / 'config.json'} must have a width from 1 to 64 and nothing else; fetch it again."
            )
        network = YoloTinyNetwork(width)
        fill(folder, network.state_dict())
        return cls(network)

    def check(self, words: str | Sequence[str]) -> list[str]:
        checked = super().check(words)
        for word in checked:
            if word.casefold() not in known_words():
                names = ", ".join(next(iter(kind)) for kind in _kinds())
                near = near_names(word, known_words())
                raise InputError(
                    f"The detector {MODEL_TYPE} does not know {word!r}{near}, only {names}; give one of these, or a "
                    "detector that takes any words, as --detector IDEA-Research/grounding-dino-tiny."
                )
        return checked

    def _candidates(self, picture: Image.Image, words: list[str], score: float) -> Iterator[Detection]:
        """A word that is not found with the usual score is looked for in the picture at half size too.

        The network misses objects that fill their picture. The second look does not depend on `score`, so that a lower
        one never finds less.
        """
        readings = [self._read(picture)]
        for word in words:
            number = known_words()[word.casefold()]
            used = readings[:1]
            if readings[0][1][:, number].max() < self.usual_score:
                if len(readings) == 1:
                    readings.append(self._read(picture, scale=2.0))
                used = readings
            for boxes, scores in used:
                yield from as_detections(boxes, scores[:, number], word, score, picture.size)

    @torch.inference_mode()
    def _read(self, picture: Image.Image, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [N, 4] in pixels of the picture, and their scores [N, C]. scale: see `letterbox`."""
        pixels, crop = letterbox(picture, SIDE, scale=scale)
        place = next(self.network.parameters()).device
        coarse, fine = self.network(torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous().to(place))
        boxes, scores = decode((coarse[0], fine[0]))
        boxes[:, :2] = crop.to_image(boxes[:, :2])
        boxes[:, 2:] *= crop.side
        return boxes, scores


@cache
def known_words() -> dict[str, int]:
    """Every known word, case-folded -> the index of its class."""
    return {word: number for number, kind in enumerate(_kinds()) for word in kind}


@cache
def _kinds() -> list[list[str]]:
    """For each of COCO's 80 classes, in the network's order, COCO's word and others of the same meaning."""
    text = (resources.files("anykeypoint.detection") / "coco_words.json").read_text(encoding="utf-8")
    return json.loads(text)
