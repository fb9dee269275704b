"""`anykeypoint convert`: a released checkpoint in, a model folder out."""

from pathlib import Path

from ..models.counting import count_parameters
from ..models.matching.conversion import convert


def run(
    checkpoint: Path, out: Path, *, model: str | None, text: str | None, image_size: int | None, heads: int | None
) -> int:
    """Write the folder and say what is in it."""
    said = {"image_size": image_size, "heads": heads}
    made = convert(
        checkpoint, out, model, text=text, **{key: value for key, value in said.items() if value is not None}
    )
    config = made.config
    words = "" if config.text is None else f", words by {config.text.name}"
    print(
        f"{config.name}: {config.backbone.name} at {config.backbone.image_size} pixels{words}, "
        f"{count_parameters(made) / 1e6:.1f} million parameters"
    )
    print(f"Written to {out}")
    return 0
