"""What a matcher's folder holds: config.json, model.safetensors, and the text encoder where it has no published source.

A text encoder with published weights is named in the config and not saved. One that was read from a folder of its own,
such as that of a released checkpoint, is copied to `text/`, so that the folder is complete wherever it goes.

Version 0.1.0 had other names for the image encoder and for some tensors of the heads; `todays_name` maps them.
"""

import re
import shutil
from dataclasses import replace
from pathlib import Path

from ..folders import read_settings
from ..towers.text import TextConfig
from .matcher_config import MatcherConfig

MODEL_TYPE = "matcher"
TEXT = "text"  # name of the subfolder with the text encoder
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")

_RENAMED = (  # tensor names of version 0.1.0 -> today's
    (r"^backbone\.encoder\.", "encoder."),
    (r"^example_backbone\.encoder\.", "example_encoder."),
    (r"^head\.attention\.", "head.fusion."),
    (r"\.support_projection\.", ".token_projection."),
    (r"\.image_support_projection\.", ".example_projection."),
    (r"(matcher)\.proposals\.support\.", r"\1.proposals.token."),
    (r"^head\.members\.(\d+)\.words\.", r"head.members.\1.phrase."),
    (r"^head\.members\.(\d+)\.ask\.", r"head.members.\1.query."),
    (r"^head\.members\.(\d+)\.loudness$", r"head.members.\1.log_scale"),
    (r"^(head\.members\.\d+\.layers\.\d+)\.among\.", r"\1.self_attention."),
    (r"^(head\.members\.\d+\.layers\.\d+)\.at_image\.", r"\1.cross_attention."),
)


def todays_name(name: str) -> str:
    """The name of a tensor in today's folders, of a name in a folder of version 0.1.0 or of today."""
    for pattern, today in _RENAMED:
        name = re.sub(pattern, today, name)
    return name


def as_published(config: MatcherConfig) -> bool:
    """Whether the image encoder is a published one that was never tuned, and so is not saved."""
    return config.vision.tuning == "frozen" and config.vision.source is None


def read_config(folder: str | Path) -> MatcherConfig:
    """The config of a saved matcher; InputError where the folder holds none."""
    folder = Path(folder)
    config = MatcherConfig.from_dict(read_settings(folder, MODEL_TYPE))
    if config.text is not None and config.text.source == TEXT:
        config = replace(config, text=replace(config.text, source=str(folder.resolve() / TEXT)))
    return config


def save_text(config: TextConfig | None, folder: Path) -> TextConfig | None:
    """The text encoder as config.json names it; one that came from a folder is copied to `text/`."""
    if config is None or config.source is None or not Path(config.source).is_dir():
        return config
    source, target = Path(config.source), folder / TEXT
    if not target.exists() or not target.samefile(source):
        target.mkdir(exist_ok=True)
        for pattern in _TEXT_FILES:
            for file in source.glob(pattern):
                shutil.copyfile(file, target / file.name)
    return replace(config, source=TEXT)
