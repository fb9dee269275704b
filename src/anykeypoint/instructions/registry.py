"""The library's forms: YAML files of this room by name, and files of the user's own.

A config keeps a form of the library by its name, and a form of a user's file with its whole content, so that a saved
model does not depend on that file.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml

from ..configs.checks import near_names
from ..configs.doubled_keys import strict_yaml
from ..errors import InputError, first_line


class Form(Protocol):
    """A class of forms: it is read from a mapping."""

    @classmethod
    def from_dict(cls, data: Any, origin: str = "", name: str = "") -> Any:
        """The form of a mapping; InputError that names `origin` where the mapping does not fit."""


Kind = TypeVar("Kind")


@dataclass(frozen=True)
class FormLibrary:
    """The forms of one kind that come with the package.

    folder: the package whose YAML files they are.
    what: what one of them is called in messages.
    """

    folder: str
    what: str

    def names(self) -> tuple[str, ...]:
        """Names of the forms, sorted."""
        return _names(self.folder)

    def data(self, name: str) -> Any:
        """The content of the YAML file of one of `names`."""
        return yaml.safe_load((resources.files(self.folder) / f"{name}.yaml").read_text(encoding="utf-8"))

    def read(self, kind: type[Form], name: str) -> Any:
        """One of `names`, as the class `kind`."""
        return _read(self, kind, name)

    def read_file(self, kind: type[Form], path: str | Path) -> Any:
        """The form of a YAML file, named after the file; InputError where it cannot be read or does not fit."""
        try:
            data = strict_yaml(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"Cannot read the {self.what} {path}: {first_line(error)}.") from error
        return kind.from_dict(data, str(path), Path(path).stem)

    def setting(self, kind: type[Kind], form: Any) -> str | Kind:
        """A form as a config keeps it: a name of the library, or the form of a YAML file.

        form: a name, the path of a YAML file, or a form. InputError for an unknown name lists the known ones.
        """
        if isinstance(form, kind):
            return form
        if isinstance(form, str) and form.lower().endswith((".yaml", ".yml")):
            return self.read_file(kind, form)
        if form not in self.names():
            known = ", ".join(self.names())
            near = near_names(form, self.names())
            raise InputError(f"There is no {self.what} {form!r}{near}; known are {known}, or give a YAML file.")
        return form

    def get(self, kind: type[Kind], form: Any) -> Kind:
        """The form itself, from what `setting` takes."""
        setting = self.setting(kind, form)
        return self.read(kind, setting) if isinstance(setting, str) else setting


@cache
def _names(folder: str) -> tuple[str, ...]:
    names = (entry.name for entry in resources.files(folder).iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(name.removesuffix(".yaml") for name in names))


@cache
def _read(library: FormLibrary, kind: type[Form], name: str) -> Any:
    return kind.from_dict(library.data(name), f"the {library.what} {name!r}", name)
