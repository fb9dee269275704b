"""Which objects of labels a model is adapted to: those of one category."""

from collections.abc import Sequence
from dataclasses import replace

from ...category import plain_text
from ...configs.checks import near_names
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...forms.together import first_of_kind


def of_category(objects: Sequence[LabelledObject], name: str | None) -> list[LabelledObject]:
    """The objects of the category that is wanted, all under its first id.

    Categories of one name and the same points, as several label files of one animal have them, are one.

    objects: at least one.
    name: of the category, or its id; None for the only one.
    Raises InputError where the labels have no such category or several, or several and no name is given.
    """
    known = {item.category_id: item.category for item in objects}
    names = {key: plain_text(own.name) for key, own in known.items()}
    first = first_of_kind(known)
    kinds = set(first.values())

    def told(key: int) -> str:
        own = known[key]
        if sum(names[kind] == names[key] for kind in kinds) == 1:
            return own.name
        return f"{key} ({own.name} with the points {', '.join(own.names[:3])} ...)"  # the name alone does not tell

    listed = ", ".join(told(key) for key in sorted(kinds, key=lambda key: (known[key].name, key))[:10])
    if name is None:
        if len(kinds) > 1:
            raise InputError(
                f"A model is adapted to one category, but the data have {len(kinds)}; choose one as the category: "
                f"{listed}."
            )
        wanted = kinds
    else:
        wanted = {first[key] for key in known if plain_text(name) == names[key] or name == str(key)}
        if len(wanted) != 1:
            raise InputError(
                f"The data have {'several' if wanted else 'no'} categories called {name!r}"
                f"{near_names(name, [own.name for own in known.values()])}; give one of {listed}, or its id."
            )
    chosen = [item for item in objects if first[item.category_id] in wanted]
    one = chosen[0]
    return [replace(item, category_id=one.category_id, category=one.category) for item in chosen]
