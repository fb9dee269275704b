"""Boxes as a detector may give them, off the labelled ones: moved, and too large or too small.

A model then sees another crop; the labels, and the box whose longer side distances are measured in, stay as they are.
It shows what a wrong box costs (KptLLM++, Sec. 4.7 and Fig. 8a).
"""

import math
import random

from ..configs.checks import check_positive
from ..geometry import Box
from .evaluation_config import EvaluationConfig


def check_boxes(config: EvaluationConfig) -> None:
    """InputError for a shift below 0 and for a scale that is not above 0."""
    check_positive(config.box_shift, "The shift of the boxes", zero=True)
    check_positive(config.box_scale, "The scale of the boxes")


def changed_box(box: Box, config: EvaluationConfig, number: int) -> Box:
    """The box that a model is given for an object, in image pixels: x, y, width, height.

    box: the labelled one. It is scaled about its centre by `box_scale`, then moved by `box_shift` of its longer side as
        labelled, in a direction that is drawn.
    number: id of the object; with the config's seed it decides the direction, whatever other objects there are.
    """
    if config.box_shift == 0 and config.box_scale == 1:
        return box
    x, y, w, h = box
    angle = random.Random(f"{config.seed} {number}").uniform(0, 2 * math.pi)
    away = config.box_shift * max(w, h)
    width, height = config.box_scale * w, config.box_scale * h
    return (
        x + (w - width) / 2 + away * math.cos(angle),
        y + (h - height) / 2 + away * math.sin(angle),
        width,
        height,
    )
