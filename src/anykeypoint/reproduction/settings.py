"""What a row of a table sets, and how its levels are merged: base, field, table, row.

Mappings are merged key by key, lists and single values take the place of what was there, and `null` removes the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..configs.checks import check_choice, check_whole, near_names
from ..errors import InputError

SCALES = ("paper", "field")
# What a row measures: a model that it trains, one as it is built (as published), or a held-out checkpoint.
OWN, UNTRAINED, HELD_OUT = "own", "untrained", "held_out"
# What is measured of a row, by name -> what it gives.
MEASURES = {
    "evaluate": "the metrics of `evaluate`",
    "density": "the metrics of `density`",
    "hyperparameters": "values of a recipe, which are compared and not run",
}


@dataclass(frozen=True)
class Setting:
    """A row at one scale and on one split: all that decides its training and its evaluation.

    scale: one of SCALES.
    split: name of the split.
    model: description of the model, as `train --model` takes it.
    recipe: the training, as `train --recipe` takes it.
    pretrain: a recipe that is run before; empty where there is none.
    start: "TABLE/ROW" of the same paper whose training the model starts from, or the name of a checkpoint; "" for none.
    train, test: labels to train on and to measure on, FORM:FILE, the file relative to the data folder.
    train_images, test_images: folders of the pictures, relative to the data folder; "" where the labels say it.
    ask: settings of the measurement.
    measure: one of MEASURES.
    mean: which mean of the results a figure is, one of MEANS.
    trained: OWN, UNTRAINED or HELD_OUT.
    held_out: name of the checkpoint that is measured with trained HELD_OUT.
    items: number of training items; 0 leaves the length to the recipe.
    processes: number of processes of the paper's training; with fewer, each accumulates as much more, so that a step
        has the same samples.
    """

    scale: str
    split: str
    model: Mapping[str, Any]
    recipe: Mapping[str, Any]
    pretrain: Mapping[str, Any]
    start: str
    train: str
    test: str
    train_images: str
    test_images: str
    ask: Mapping[str, Any]
    measure: str
    mean: str
    trained: str
    held_out: str
    items: int
    processes: int


_MAPPINGS = ("model", "recipe", "pretrain", "ask")
_TEXTS = ("train", "test", "images", "train_images", "test_images", "measure", "mean", "trained", "held_out", "start")
KEYS = (*_MAPPINGS, *_TEXTS, "splits", "items", "processes")  # that base, field, tables and rows may have
MEANS = ("object_mean", "category_mean", "point_mean")


def merged(*levels: Mapping[str, Any]) -> dict[str, Any]:
    """The levels on top of each other, the last one uppermost."""
    found: dict[str, Any] = {}
    for level in levels:
        for key, value in level.items():
            if value is None:
                found.pop(key, None)
            elif isinstance(value, Mapping):
                below = found.get(key)
                found[key] = merged(below if isinstance(below, Mapping) else {}, value)
            else:
                found[key] = value
    return found


def check_level(level: Any, what: str, further: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """A level as the file has it; InputError for an unknown key or a value of another type.

    what: subject of the sentence.
    further: keys that this level may have beside KEYS.
    """
    if not isinstance(level, Mapping):
        raise InputError(f"{what} must be a mapping of settings, but got {level!r}.")
    known = (*KEYS, *further)
    for key, value in level.items():
        if key not in known:
            raise InputError(
                f"{what} has the unknown key {key!r}{near_names(key, known)}; known are {', '.join(known)}."
            )
        if value is None:
            continue
        if key in _MAPPINGS and not isinstance(value, Mapping):
            raise InputError(f"{what}: {key} must be a mapping, but got {value!r}.")
        if key in _TEXTS and not isinstance(value, str):
            raise InputError(f"{what}: {key} must be text, but got {value!r}.")
        if key == "splits" and not (isinstance(value, list) and value):
            raise InputError(f"{what}: splits must be a list of at least one, but got {value!r}.")
        if key in ("items", "processes"):
            check_whole(value, f"{what}: {key}")
    return level


def split_names(given: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """The names of the splits of merged settings; InputError where they name none."""
    if "splits" not in given:
        raise InputError(f"{what} has no splits; name at least one, such as splits: [1].")
    return tuple(str(split) for split in given["splits"])


def setting_of(given: Mapping[str, Any], scale: str, split: str, what: str) -> Setting:
    """The setting of merged levels on one split.

    what: subject of the sentences about what is missing or wrong.
    """
    measure = check_choice(given.get("measure", "evaluate"), f"{what}: measure", MEASURES)
    trained = check_choice(given.get("trained", OWN), f"{what}: trained", (OWN, UNTRAINED, HELD_OUT))
    held_out = given.get("held_out", "")
    if trained == HELD_OUT and not held_out:
        raise InputError(f"{what} measures a held-out checkpoint, but none is named; give held_out.")
    needed = () if measure == "hyperparameters" else ("test",) if trained == HELD_OUT else ("model", "train", "test")
    needed = ("model", "test") if trained == UNTRAINED else needed
    for key in needed:
        if not given.get(key) and not (key == "model" and key in given):
            raise InputError(f"{what} has no {key}; give one in the row, its table or the base.")
    images = given.get("images", "")
    names = {"train": given.get("train", ""), "test": given.get("test", "")}
    names["train_images"] = given.get("train_images", images)
    names["test_images"] = given.get("test_images", images)
    return Setting(
        scale=scale,
        split=split,
        **{key: given.get(key, {}) for key in _MAPPINGS},
        **{key: text.replace("{split}", split) for key, text in names.items()},
        start=given.get("start", ""),
        measure=measure,
        mean=check_choice(given.get("mean", "object_mean"), f"{what}: mean", MEANS),
        trained=trained,
        held_out=held_out,
        items=given.get("items", 0) if scale == "field" else 0,
        processes=given.get("processes", 1) if scale == "paper" else 1,
    )
