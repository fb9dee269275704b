"""`anykeypoint export`: a matcher as an ONNX file."""

from pathlib import Path

from ..errors import InputError


def run(model: str, out: Path, *, prompt: str | None) -> int:
    """Write the file and say what it takes."""
    from .. import load
    from ..models.matching.export import export
    from ..models.matching.model import MatchingModel

    loaded = load(model, device="cpu")
    if not isinstance(loaded, MatchingModel):
        raise InputError(f"Only matchers can be exported, but {model} is none; give a matcher's folder.")
    names = export(loaded, out, prompt)
    print(f"{loaded.config.name}: {', '.join(names)} -> points, similarity, features")
    print(f"Written to {out}")
    return 0
