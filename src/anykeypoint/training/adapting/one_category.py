"""Which objects of labels a model is adapted to: those of one category."""

from collections.abc import Sequence
from dataclasses import replace

from ...category import plain_text
from ...configs.checks import near_names
from ...errors import InputError
from ...forms.dataset import LabelledObject


def of_category(objects: Sequence[LabelledObject], name: str | None) -> list[LabelledObject]:
    """The objects of the category that is wanted, all under its first id.

    Categories of one name and the same points, as several label files of one animal have them, are one.

    objects: at least one.
    name: of the category, or its id; None for the only one.
    Raises InputError where the labels have no such category or several, or several and no name is given.
    """
    known = {item.category_id: item.category for item in objects}
    kinds = {key: (plain_text(own.name), *map(plain_text, own.names)) for key, own in known.items()}
    first = {kind: key for key, kind in reversed(kinds.items())}  # of categories that are one, the first

    def told(key: int) -> str:
        own = known[key]
        if sum(kind[0] == kinds[key][0] for kind in first) == 1:
            return own.name
        return f"{key} ({own.name} with the points {', '.join(own.names[:3])} ...)"  # the name alone does not tell

    listed = ", ".join(told(key) for key in sorted(first.values(), key=lambda key: (known[key].name, key))[:10])
    if name is None:
        if len(first) > 1:
            raise InputError(
                f"A model is adapted to one category, but the data have {len(first)}; choose one as the category: "
                f"{listed}."
            )
        wanted = set(first)
    else:
        wanted = {kinds[key] for key in known if plain_text(name) == kinds[key][0] or name == str(key)}
        if len(wanted) != 1:
            raise InputError(
                f"The data have {'several' if wanted else 'no'} categories called {name!r}"
                f"{near_names(name, [own.name for own in known.values()])}; give one of {listed}, or its id."
            )
    chosen = [item for item in objects if kinds[item.category_id] in wanted]
    one = chosen[0]
    return [replace(item, category_id=one.category_id, category=one.category) for item in chosen]
