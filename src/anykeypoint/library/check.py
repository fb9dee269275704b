"""What makes a category hard to ask for: the findings of `anykeypoint categories --check`.

`Category` refuses what cannot be used at all. What is looked for here can be used, but asks a model for less than the
words could: a point that nobody can tell from another, a side without its other side, a description that points
elsewhere (CapeLLM, Sec. 3.2: vague descriptions cost up to 6 points of mPCK).
"""

import re
from dataclasses import dataclass

from ..category import Category, mirrored_name, mirrored_pairs, plain_text

# What these words mean must be looked up elsewhere, or guessed.
VAGUE_PHRASES = (
    "clockwise",
    "anticlockwise",
    "counterclockwise",
    "counter-clockwise",
    "the other points",
    "the others",
    "the rest",
    "remaining",
    "respectively",
    "and so on",
    "and so forth",
    "etc",
    "somewhere",
    "various",
    "as above",
    "see above",
    "as before",
    "similar to",
    "same as",
    "refer to",
    "refers to",
    "todo",
)

_VAGUE = re.compile(r"\b(?:" + "|".join(map(re.escape, VAGUE_PHRASES)) + r")\b", re.IGNORECASE)
_SIDE = re.compile(r"\b(left|right)(?:most)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One thing to mend in a category.

    kind: name, description, vague, side, partner, pairs or skeleton.
    point: index of the keypoint, the first of two.
    text: one sentence that says what is wrong and what to do.
    """

    category: str
    kind: str
    point: int
    text: str

    def __str__(self) -> str:
        return f"{self.category}: {self.text}"


def check(category: Category) -> list[Finding]:
    """All findings of one category, by point and then for pairs and skeleton; an empty list when all is well."""
    points = sorted(
        [*_names(category), *_descriptions(category), *_partners(category)], key=lambda finding: finding.point
    )
    return [*points, *_pairs(category), *_skeleton(category)]


def vague_phrases(text: str) -> list[str]:
    """The phrases of `VAGUE_PHRASES` that a text holds as whole words, as they are written there."""
    return [match[0] for match in _VAGUE.finditer(" ".join(text.split()))]


# --- point by point ------------------------------------------------------------------------------------------------


def _names(category: Category) -> list[Finding]:
    first: dict[str, int] = {}
    found = []
    for i, name in enumerate(map(plain_text, category.names)):
        if name in first:
            text = f"indices {first[name]} and {i} are both called {category.names[i]!r}; give each point its own name."
            found.append(Finding(category.name, "name", i, text))
        first.setdefault(name, i)
    return found


def _descriptions(category: Category) -> list[Finding]:
    found = []
    for i, (name, keypoint) in enumerate(zip(category.names, category.keypoints, strict=True)):
        text = keypoint.description
        if not text.strip():
            told = f"{name!r} has no description; say where it is and which points are next to it."
            found.append(Finding(category.name, "description", i, told))
        for phrase in vague_phrases(text):
            told = f"{name!r} is described with {phrase!r}, which is vague; name the place or points meant."
            found.append(Finding(category.name, "vague", i, told))
        own, spoken = _sides(name), _sides(text)
        if len(own) == 1 and spoken and not own & spoken:
            told = f"{name!r} is described as {_one(spoken)}, never as {_one(own)}; mend the name or the description."
            found.append(Finding(category.name, "side", i, told))
    return found


def _partners(category: Category) -> list[Finding]:
    """Points with a side that nothing mirrors, in a category where other points are mirrored.

    A category seen from one side only has no pairs at all, and then a side in a name is just a word.
    """
    paired = {i for pair in category.pairs or () for i in pair}
    known = {plain_text(name) for name in category.names}
    found = []
    for i, name in enumerate(category.names):
        mirrored = mirrored_name(name)
        if not paired or i in paired or i in category.alone or not _sides(name) or mirrored in known:
            continue  # a partner that is there but is not paired is a matter of the pairs
        text = f"{name!r} has no partner {mirrored!r} on the other side; add it, or list its index {i} under 'alone'."
        found.append(Finding(category.name, "partner", i, text))
    return found


# --- the whole -----------------------------------------------------------------------------------------------------


def _pairs(category: Category) -> list[Finding]:
    names, plain = category.names, [plain_text(name) for name in category.names]
    paired = {i for pair in category.pairs or () for i in pair}
    found = []
    for a, b in category.pairs or ():
        if (_sides(names[a]) or _sides(names[b])) and mirrored_name(names[a]) != plain[b]:
            text = f"the pair [{a}, {b}] joins {names[a]!r} and {names[b]!r}, which are no mirrored names; mend one."
            found.append(Finding(category.name, "pairs", a, text))
    for a, b in mirrored_pairs(names):
        if not {a, b} & paired:  # else the pair that is there is right, or has been told of above
            text = f"{names[a]!r} and {names[b]!r} mirror each other but are no pair; add [{a}, {b}] to 'pairs'."
            found.append(Finding(category.name, "pairs", a, text))
    return found


def _skeleton(category: Category) -> list[Finding]:
    names = category.names
    seen: set[frozenset[int]] = set()
    found = []
    for a, b in category.skeleton:
        if frozenset((a, b)) in seen:
            text = f"the skeleton joins {names[a]!r} and {names[b]!r} twice; leave out one [{a}, {b}]."
            found.append(Finding(category.name, "skeleton", a, text))
        seen.add(frozenset((a, b)))
    joined = {i for edge in seen for i in edge}
    for i, name in enumerate(names):
        if joined and i not in joined and i not in category.alone:
            text = f"{name!r} is in no edge of the skeleton; join it to another, or list its index {i} under 'alone'."
            found.append(Finding(category.name, "skeleton", i, text))
    return found


def _sides(text: str) -> set[str]:
    return {side.lower() for side in _SIDE.findall(text.replace("_", " "))}


def _one(sides: set[str]) -> str:
    return " or ".join(sorted(sides))
