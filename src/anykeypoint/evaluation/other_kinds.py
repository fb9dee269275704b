"""Points of another kind of object: what a picture surely does not have, to be asked about all the same.

Two categories are foreign to one another where the names of their points share no word but words of position and
numbers ("left eye" and "eye centre" share "eye", "left knee" and "left corner" nothing), and where they are not of one
broader kind, as two four-legged animals are. A category whose points are named by position alone ("top left") says too
little to be foreign to any.
"""

import random
import re
from collections.abc import Mapping, Sequence

from ..category import Category, spoken
from ..forms.dataset import LabelledObject
from ..library.broader import broader_kind
from ..models.towers.place_words import is_place_word
from .protocols import EvaluationProtocol
from .queries import Query
from .selection import select

# Words of names that fit most things, as words of position do.
_WIDE = frozenset(
    [
        "a",
        "an",
        "and",
        "at",
        "by",
        "from",
        "in",
        "of",
        "on",
        "or",
        "the",
        "to",
        "with",
        "its",
        "point",
        "tip",
        "end",
        "edge",
        "side",
        "part",
        "line",
        "corner",
    ]
)


def foreign_to(category: Category, others: Sequence[Category]) -> list[Category]:
    """Those of the other categories that are foreign to a category, in their order."""
    own, kind = _words(category), broader_kind(category.noun)

    def is_foreign(other: Category) -> bool:
        words = _words(other)
        return bool(words) and not words & own and (kind is None or kind != broader_kind(other.noun))

    return [other for other in others if is_foreign(other)]


def foreign_queries(
    queries: Sequence[Query],
    categories: Mapping[int, Category],
    protocol: EvaluationProtocol,
    most: int | None,
    seed: int,
) -> list[Query]:
    """Queries that ask about the points of another kind of object: of up to `most` objects of each category, one each.

    queries: those about the own kind of each object. The other kinds are kinds of these, and what is shown of them are
        their examples, which a model has taken.
    categories: category id -> the category as the model gets it.
    most: None takes all.
    protocol: as many examples of the other kind are shown as it shows of the own.
    seed: decides which objects, which other kind and which examples are drawn; a draw does not depend on the others.

    An object to whose category no other is foreign is left out.
    """
    asked = list({query.item.id: query.item for query in queries}.values())
    members: dict[int, dict[int, LabelledObject]] = {item.category_id: {} for item in asked}
    for one in (one for query in queries for one in query.examples):
        members[one.category_id][one.id] = one
    others = {key: categories[key] for key in sorted(members)}
    found = []
    for item in select(asked, most, seed):
        own = categories[item.category_id]
        known = {id(category): key for key, category in others.items() if key != item.category_id}
        foreign = foreign_to(own, [others[key] for key in known.values()])
        if not foreign:
            continue
        draw = random.Random(f"{seed} {item.id}")
        chosen = draw.choice(foreign)
        shown = members[known[id(chosen)]]
        found.append(Query(item, tuple(shown[key] for key in draw.sample(sorted(shown), protocol.examples)), chosen))
    return found


def _words(category: Category) -> set[str]:
    """The words of a category's names but those that fit most things."""
    words = {word for name in category.names for word in re.findall(r"[^\W\d_]{2,}", spoken(name).casefold())}
    return {word for word in words if word not in _WIDE and not is_place_word(word)}
