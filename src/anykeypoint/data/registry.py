"""The data sets that are known by name, as `datasets.yaml` lists them."""

from dataclasses import dataclass, fields
from functools import cache
from importlib import resources

import yaml

from ..configs.checks import near_names
from ..errors import InputError


@dataclass(frozen=True)
class KnownDataset:
    """A public data set. All is text, "unknown" where it is not known.

    reader: the form to read it with, as in `--data FORM:FILE`. papers: those of this library that use it.
    faults: what to expect of its files.
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


@cache
def known_datasets() -> dict[str, KnownDataset]:
    """All of them by name, in the file's order. Raises InputError if an entry has too few or too many keys."""
    text = (resources.files("anykeypoint.data") / "datasets.yaml").read_text(encoding="utf-8")
    keys = {field.name for field in fields(KnownDataset)}
    found = {}
    for entry in yaml.safe_load(text):
        if set(entry) != keys:
            odd = sorted(set(entry) ^ keys)
            raise InputError(f"datasets.yaml: {entry.get('name')!r} lacks or has too much of {odd[0]!r}.")
        found[entry["name"]] = KnownDataset(
            **{**entry, "papers": tuple(entry["papers"]), "faults": tuple(entry["faults"])}
        )
    return found


def known_dataset(name: str) -> KnownDataset:
    """The one of that name; InputError, listing the names, if there is none."""
    found = known_datasets().get(name)
    if found is None:
        raise InputError(
            f"There is no data set {name!r} in the list{near_names(name, known_datasets())}; known are "
            f"{', '.join(known_datasets())}."
        )
    return found
