"""Public data sets by name, as `datasets.yaml` lists them, and the published figures that go with them."""

from dataclasses import dataclass, fields
from functools import cache
from importlib import resources

import yaml

from ..configs.checks import near_names
from ..errors import InputError

UNKNOWN_FORM = "form unknown"  # in place of a reader where nobody describes the form of the files


@dataclass(frozen=True)
class KnownDataset:
    """A public data set. All fields are text for people, "unknown" where a value is not known.

    name: its name in this library.
    what: what its pictures show.
    categories: number of categories.
    keypoints: number of keypoints of a category.
    size: number of objects, and size of the files.
    licence: terms of labels and pictures.
    where: where to get it, in words.
    reader: the label form to read it with, as in `--data FORM:FILE`, or UNKNOWN_FORM.
    papers: papers of this library's methods that use it.
    faults: known faults of its files.
    """

    name: str
    what: str
    categories: str
    keypoints: str
    size: str
    licence: str
    where: str
    reader: str
    papers: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class PublishedFigure:
    """Figures that a method's authors print for a data set, as `experiments/published_tables.yaml` has them.

    data: name of the data set.
    method: whose figures they are.
    protocol: what an evaluation calls the same question; "" where it has none.
    mean: which mean of an evaluation's results is meant; "" where the source does not say.
    metric: key of the metric in that mean, in percent.
    figures: split or test -> the figure, as printed.
    source: where the figures stand.
    """

    data: str
    method: str
    protocol: str
    mean: str
    metric: str
    figures: dict[str, float]
    source: str


@cache
def published_figures() -> tuple[PublishedFigure, ...]:
    """The strongest published figures that are known, in the order of the file."""
    text = (resources.files("anykeypoint.experiments") / "published_tables.yaml").read_text(encoding="utf-8")
    return tuple(PublishedFigure(**entry) for entry in yaml.safe_load(text))


@cache
def known_datasets() -> dict[str, KnownDataset]:
    """All known data sets by name, in the order of the file. Raises InputError for an entry with other keys."""
    text = (resources.files("anykeypoint.data") / "datasets.yaml").read_text(encoding="utf-8")
    keys = {field.name for field in fields(KnownDataset)}
    known = {}
    for entry in yaml.safe_load(text):
        if set(entry) != keys:
            odd = sorted(set(entry) ^ keys)
            raise InputError(f"datasets.yaml: {entry.get('name')!r} lacks or has too much of {odd[0]!r}.")
        known[entry["name"]] = KnownDataset(
            **{**entry, "papers": tuple(entry["papers"]), "faults": tuple(entry["faults"])}
        )
    return known


def known_dataset(name: str) -> KnownDataset:
    """The data set of that name. Raises InputError with all names where there is none."""
    found = known_datasets().get(name)
    if found is None:
        raise InputError(
            f"There is no data set {name!r} in the list{near_names(name, known_datasets())}; known are "
            f"{', '.join(known_datasets())}."
        )
    return found
