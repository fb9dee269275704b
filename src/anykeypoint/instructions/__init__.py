"""Questions to language models as templates: conversation forms here, forms of several tasks in `tasks`."""

from .category_text import DESCRIBE, check_describe, neutral
from .conversation import (
    Instruction,
    Point,
    Round,
    Segment,
    Text,
    instruction,
    instruction_names,
    instruction_setting,
)

__all__ = [
    "DESCRIBE",
    "Instruction",
    "Point",
    "Round",
    "Segment",
    "Text",
    "check_describe",
    "instruction",
    "instruction_names",
    "instruction_setting",
    "neutral",
]
