"""Which baselines answer which prompt. To add one, write its class in a file of this folder and a line in BASELINES."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ...models.sources.packages import fetched


@dataclass(frozen=True)
class BaselineEntry:
    """One line of the registry.

    prompts: those of "text", "example", "both" and "identify" that the baselines answer.
    names: what the baselines are called in results.
    build: dotted name, below this folder, of what returns one baseline or a list of them; imported only when wanted.
    weights: name of the packaged weights that they need, None for baselines without weights.
    """

    prompts: tuple[str, ...]
    names: tuple[str, ...]
    build: str
    weights: str | None = None


BASELINES = (
    BaselineEntry(("text", "example", "both"), ("image_centre",), "positions.ImageCentre"),
    BaselineEntry(("text", "both"), ("mean_position",), "positions.MeanPosition.shipped"),
    BaselineEntry(
        ("text", "both"), ("mean_position_by_meaning",), "positions.MeanPosition.by_meaning", weights="minilm-l6"
    ),
    BaselineEntry(("example", "both"), ("copy_example",), "positions.CopyExample"),
    BaselineEntry(
        ("example", "both"),
        ("nearest_neighbour", "nearest_neighbour_without_prior"),
        "neighbours.NearestNeighbour.with_and_without_prior",
        weights="efficientnet-lite2",
    ),
    BaselineEntry(
        ("identify",),
        ("nearest_mean_position", "most_frequent_name", "random_name"),
        "names.shipped_name_baselines",
    ),
)


def baselines(prompt: str) -> tuple[list[Any], dict[str, str]]:
    """The baselines that answer a prompt, and the names of those that cannot be had now, each with the reason.

    prompt: "text", "example", "both" or "identify".
    Weights are never fetched here: an evaluation works offline, and its results name the baselines that it left out.
    """
    found: list[Any] = []
    missing: dict[str, str] = {}
    for entry in BASELINES:
        if prompt not in entry.prompts:
            continue
        if entry.weights is None or fetched(entry.weights):
            built = _resolve(entry.build)()
            found += built if isinstance(built, list) else [built]
        else:
            reason = f"its weights are not here; `anykeypoint weights {entry.weights}` gets them"
            missing |= dict.fromkeys(entry.names, reason)
    return found, missing


def _resolve(dotted: str) -> Callable[[], Any]:
    """The class or function behind a dotted name: the first part is a module of this folder."""
    module, *attributes = dotted.split(".")
    value: Any = import_module(f".{module}", __package__)
    for attribute in attributes:
        value = getattr(value, attribute)
    return value
