"""Detectors that take any words, through transformers: GroundingDINO (KptLLM++, Sec. 3.7), OWL-ViT and OWLv2.

The network reads one word at a time: in one sentence with other words, a word would get another score. N is the number
of boxes that a network proposes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..errors import InputError
from ..models.sources.hub import load_image_processor, load_model, load_tokenizer
from .boxes import Detection
from .detector import Detector, as_detections
from .letterbox import letterbox


class GroundingDino(Detector):
    """GroundingDINO and MM-GroundingDINO. A score is the largest over the tokens of the word, as published."""

    usual_score = 0.3

    def __init__(self, model: nn.Module, tokenizer: Any, processor: Any) -> None:
        self.network, self.tokenizer, self.processor = model.eval().requires_grad_(False), tokenizer, processor

    @classmethod
    def load(cls, source: str, model_type: str) -> "GroundingDino":
        from transformers import GroundingDinoForObjectDetection, MMGroundingDinoForObjectDetection

        kinds = {
            "grounding-dino": GroundingDinoForObjectDetection,
            "mm-grounding-dino": MMGroundingDinoForObjectDetection,
        }
        model = load_model(kinds[model_type], source, torch.float32)
        return cls(model, load_tokenizer(source), load_image_processor(source))

    def check(self, words: str | Sequence[str]) -> list[str]:
        checked = super().check(words)
        for word in checked:
            if "." in word:
                raise InputError(f"GroundingDINO ends a word at a full stop, but got {word!r}; part words by ';'.")
            _check_length(word, len(self._ids(word)["input_ids"][0]), self.network.config.max_text_len)
        return checked

    @torch.inference_mode()
    def _candidates(self, picture: Image.Image, words: list[str], score: float) -> Iterator[Detection]:
        place = self.network.device
        pixels = self.processor(images=picture, return_tensors="pt").to(place)
        for word in words:
            output = self.network(**pixels, **self._ids(word).to(place))
            scores = output.logits[0].sigmoid().amax(dim=-1)
            boxes = _from_centres(output.pred_boxes[0]) * np.tile(picture.size, 2)
            yield from as_detections(boxes, _array(scores), word, score, picture.size)

    def _ids(self, word: str) -> Any:
        """The tokens of a word, in lower case and with a full stop, as GroundingDINO was trained."""
        return self.tokenizer(f"{word.lower()}.", return_tensors="pt", return_token_type_ids=True)


class Owl(Detector):
    """OWL-ViT, which squeezes a picture into a square, and OWLv2, which fills the square up with grey.

    tokens: number of tokens of the longest phrase, as published.
    fills: whether the square is filled up.
    """

    usual_score = 0.1
    tokens = 16

    def __init__(self, model: nn.Module, tokenizer: Any, processor: Any, fills: bool) -> None:
        self.network, self.tokenizer, self.processor = model.eval().requires_grad_(False), tokenizer, processor
        self.fills = fills

    @classmethod
    def load(cls, source: str, model_type: str) -> "Owl":
        from transformers import Owlv2ForObjectDetection, OwlViTForObjectDetection

        fills = model_type == "owlv2"
        model = load_model(Owlv2ForObjectDetection if fills else OwlViTForObjectDetection, source, torch.float32)
        return cls(model, load_tokenizer(source), load_image_processor(source), fills)

    def check(self, words: str | Sequence[str]) -> list[str]:
        checked = super().check(words)
        for word in checked:
            _check_length(word, len(self.tokenizer(_phrase(word))["input_ids"]), self.tokens)
        return checked

    @torch.inference_mode()
    def _candidates(self, picture: Image.Image, words: list[str], score: float) -> Iterator[Detection]:
        place = self.network.device
        pixels, sides = self._pixels(picture)
        for word in words:
            ids = self.tokenizer(_phrase(word), return_tensors="pt", padding="max_length", max_length=self.tokens)
            output = self.network(
                pixel_values=pixels.to(place),
                input_ids=ids["input_ids"].to(place),
                attention_mask=ids["attention_mask"].to(place),
            )
            scores = output.logits[0, :, 0].sigmoid()
            boxes = _from_centres(output.pred_boxes[0]) * np.tile(sides, 2)
            yield from as_detections(boxes, _array(scores), word, score, picture.size)

    def _pixels(self, picture: Image.Image) -> tuple[Tensor, tuple[float, float]]:
        """The network's input 1 3 S S, and the width and height of the square in pixels of the picture."""
        if not self.fills:
            return self.processor(images=picture, return_tensors="pt")["pixel_values"], picture.size
        values, crop = letterbox(picture, self.processor.size["height"], centred=False)
        values = (values - np.array(self.processor.image_mean)) / np.array(self.processor.image_std)
        return torch.from_numpy(values.transpose(2, 0, 1)[None]).float(), (crop.side, crop.side)


def _phrase(word: str) -> str:
    """The sentence of OWL-ViT's published examples."""
    return f"a photo of a {word}"


def _check_length(word: str, tokens: int, most: int) -> None:
    """InputError for a word of more tokens than the detector reads."""
    if tokens > most:
        raise InputError(f"The detector reads {most} tokens, but {word[:40]!r} takes {tokens}; say it in fewer words.")


def _from_centres(boxes: Tensor) -> np.ndarray:
    """Boxes [N, 4] as x and y of the centre, width, height -> left, top, width, height."""
    values = _array(boxes)
    return np.concatenate([values[:, :2] - values[:, 2:] / 2, values[:, 2:]], axis=1)


def _array(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
