"""What a row needs of this machine: labels, pictures and published weights; and what of it is missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..data.registry import known_datasets
from ..errors import InputError
from ..forms.joint import members
from ..forms.registry import parse
from ..models.generative.image_text_config import ImageTextConfig
from ..models.loading import find
from ..models.matching.matcher_config import MatcherConfig
from ..models.needed_weights import needed_weights
from ..models.towers.language import LANGUAGE_MODELS
from ..models.towers.registry import encoder_class
from ..models.towers.text import TEXT_ENCODERS
from ..models.towers.vision_config import RANDOM
from .configured import configured
from .places import Places
from .settings import HELD_OUT, OWN, Setting


@dataclass(frozen=True)
class Missing:
    """Something that a row needs and that is not here.

    kind: "data" or "weights".
    what: its name.
    where: how to get it, a phrase.
    """

    kind: str
    what: str
    where: str

    def sentence(self) -> str:
        """What is missing and how to get it."""
        return f"{self.what}: {self.where}"


def missing_of(setting: Setting, what: str, places: Places) -> list[Missing]:
    """All that a row's setting needs and that is not here. what: the row, for messages about its settings."""
    found = list(_missing_data(setting, places))
    if setting.trained == HELD_OUT:
        found += _missing_checkpoint(setting.held_out, places)
    else:
        found += _missing_weights(configured(setting, what).model, places)
        if setting.start and "/" not in setting.start:
            found += _missing_checkpoint(setting.start, places)
    return list(dict.fromkeys(found))


# --- labels and pictures ---------------------------------------------------------------------------------------------


def _missing_data(setting: Setting, places: Places) -> Iterator[Missing]:
    parts = [(setting.test, setting.test_images)]
    if setting.trained == OWN:
        parts.insert(0, (setting.train, setting.train_images))
    for spec, images in parts:
        lacking = [*places.missing_files(spec), *_missing_members(spec, places)]
        if lacking:
            yield Missing("data", spec, f"there is no {lacking[0]}; {_where(spec, setting.scale)}")
        elif images and not (places.data / images).is_dir():
            where = f"there is no folder {places.data / images}; {_where(spec, setting.scale)}"
            yield Missing("data", f"pictures of {spec}", where)


def _missing_members(spec: str, places: Places) -> list[Any]:
    """The label files that a list of several data sets names and that are not there."""
    form, _, path = parse(places.labels(spec))
    if form != "joint" or not path.exists():
        return []
    return [file for file in (parse(member.spec)[2] for member in members(path)) if not file.exists()]


def _where(spec: str, scale: str) -> str:
    """Where the labels of a form come from; at field scale they are the user's own."""
    if scale == "field":
        return "put labels of your own in COCO's form and their pictures there, or give another folder with --data"
    form = parse(spec)[0]
    if form == "joint":
        return "its list comes with the package (experiments/); copy it into the data folder, beside the data it names"
    for known in known_datasets().values():
        if form in (known.reader, known.name):
            return f"{known.where}; licence: {known.licence}"
    return "put it there, or give another folder with --data"


# --- weights ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """A published network that a model is built on.

    source: hub id, folder or file; "" where the weights come as packages.
    packages: names of the packages.
    """

    source: str = ""
    packages: tuple[str, ...] = ()


def networks_of(config: Any) -> list[Network]:
    """The published networks that a model of this config is built on."""
    if isinstance(config, ImageTextConfig):
        return [Network(config.source)]
    found = []
    vision = config.image_encoder if isinstance(config, MatcherConfig) else config.vision
    packages = () if vision.source is not None else encoder_class(vision.name).packages_of(vision.name)
    found.append(Network(_hub_id(vision, "vision") or "", tuple(packages)))
    for key in ("language", "text"):
        if (tower := getattr(config, key, None)) is not None:
            named = _hub_id(tower, key)
            found.append(Network(named) if named else Network("", (tower.name,)))
            if (tokenizer := getattr(tower, "tokenizer", None)) is not None:
                found.append(Network(tokenizer))
    return [network for network in dict.fromkeys(found) if network.source != RANDOM]


def _missing_weights(config: Any, places: Places) -> Iterator[Missing]:
    for network in networks_of(config):
        if network.source and not places.is_here(network.source):
            last = network.source.rpartition("/")[2]
            where = f"`hf download {network.source}` once (some ask for a licence), or in --model DIR/{last}"
            yield Missing("weights", network.source, where)
        yield from (_missing_package(name) for name in network.packages if not places.has_package(name))


def _missing_checkpoint(name: str, places: Places) -> list[Missing]:
    try:
        find(name)
        return [_missing_package(one) for one in needed_weights(name) if not places.has_package(one)]
    except InputError as error:
        return [Missing("weights", name, str(error).rstrip("."))]


def _missing_package(name: str) -> Missing:
    return Missing("weights", name, f"`anykeypoint weights {name}` once")


def located(config: Any, places: Places) -> Any:
    """The config of a model with the folders of `--model` in the place of hub ids."""
    if places.models is None:
        return config
    if isinstance(config, ImageTextConfig):
        folder = places.network(config.source)
        return config if folder is None else replace(config, source=str(folder))
    if getattr(config, "llava", None) is not None:
        folder = places.network(config.llava)
        if folder is None:
            return config
        bare = {key: replace(getattr(config, key), source=None) for key in ("vision", "language")}
        return replace(config, llava=str(folder), **bare)
    changes = {}
    for key in ("vision", "language", "text"):
        tower = getattr(config, key, None)
        named = None if tower is None else _hub_id(tower, key)
        folder = None if named is None else places.network(named)
        if folder is not None:
            changes[key] = replace(tower, source=str(folder))
    return replace(config, **changes) if changes else config


def described(given: Mapping[str, Any], config: Any, placed: Any) -> dict[str, Any]:
    """The description of a model with the sources of a config that `located` has placed.

    given: the description. config: what it is read as. placed: the same with folders in the place of hub ids.
    """
    found = {key: dict(value) if isinstance(value, Mapping) else value for key, value in given.items()}
    if getattr(placed, "llava", None) is not None:
        return {**found, "llava": placed.llava}
    for key in ("source", "vision", "language", "text"):
        before, after = getattr(config, key, None), getattr(placed, key, None)
        if before != after:
            found[key] = after if key == "source" else {**found.get(key, {"name": after.name}), "source": after.source}
    return found


def _hub_id(tower: Any, key: str) -> str | None:
    """The hub id that the weights of an encoder or language model come from; None where they come otherwise."""
    if tower.source is not None:
        return tower.source
    if key == "vision":
        return encoder_class(tower.name).published[tower.name].source
    if key == "language":
        return LANGUAGE_MODELS.get(tower.name, tower.name)
    return TEXT_ENCODERS[tower.name].source
