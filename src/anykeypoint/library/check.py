"""Weak points in the wording of a category: the findings of `anykeypoint categories --check`.

`Category` refuses what cannot be used at all. What is found here can be used, but a model will predict worse than it
could: points with one name, a side without its other side, a description that refers to something else (CapeLLM, Sec.
3.2: vague descriptions cost up to 6 points of mPCK).
"""

import re
from dataclasses import dataclass

from ..category import Category, plain_text
from ..sides.mirroring import mirrored_name, mirrored_pairs, mirrors, sides_of

# A reader of these phrases must look up elsewhere what they mean, or guess it.
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


@dataclass(frozen=True)
class Finding:
    """One thing to mend in a category.

    category: its name.
    kind: name, description, vague, side, partner, pairs or skeleton.
    point: index of the keypoint, of the first one where two are concerned.
    text: one sentence that says what is wrong and what to do.
    """

    category: str
    kind: str
    point: int
    text: str

    def __str__(self) -> str:
        return f"{self.category}: {self.text}"


def check(category: Category) -> list[Finding]:
    """All findings of one category: those of its points in order, then those of pairs and skeleton."""
    points = sorted(
        [*_names(category), *_descriptions(category), *_partners(category)], key=lambda finding: finding.point
    )
    return [*points, *_pairs(category), *_skeleton(category)]


def vague_phrases(text: str) -> list[str]:
    """The phrases of `VAGUE_PHRASES` that a text contains as whole words, spelled as in the text."""
    return [match[0] for match in _VAGUE.finditer(" ".join(text.split()))]


# --- point by point ------------------------------------------------------------------------------------------------


def _names(category: Category) -> list[Finding]:
    """Points that share a name."""
    first: dict[str, int] = {}  # plain name -> index of its first point
    findings = []
    for i, name in enumerate(map(plain_text, category.names)):
        if name in first:
            text = f"indices {first[name]} and {i} are both called {category.names[i]!r}; give each point its own name."
            findings.append(Finding(category.name, "name", i, text))
        first.setdefault(name, i)
    return findings


def _descriptions(category: Category) -> list[Finding]:
    """Descriptions that are missing, vague, or about the other side."""
    findings = []
    for i, (name, keypoint) in enumerate(zip(category.names, category.keypoints, strict=True)):
        text = keypoint.description
        if not text.strip():
            sentence = f"{name!r} has no description; say where it is and which points are next to it."
            findings.append(Finding(category.name, "description", i, sentence))
        for phrase in vague_phrases(text):
            sentence = f"{name!r} is described with {phrase!r}, which is vague; name the place or points meant."
            findings.append(Finding(category.name, "vague", i, sentence))
        own = sides_of(name)
        described = {side for side in sides_of(text) if side[0] in {language for language, _ in own}}
        if len(own) == 1 and described and not own & described:
            sides = f"{_one(described)}, never as {_one(own)}"
            sentence = f"{name!r} is described as {sides}; mend the name or the description."
            findings.append(Finding(category.name, "side", i, sentence))
    return findings


def _partners(category: Category) -> list[Finding]:
    """Points whose name has a side and no partner on the other side, in a category with pairs.

    A category of objects that are always viewed from one side has no pairs, and needs no partners.
    """
    known = {plain_text(name) for name in category.names}
    findings = []
    for i in category.unpaired if category.pairs else ():
        name, mirrored = category.names[i], mirrored_name(category.names[i])
        if i in category.alone or mirrored in known:
            continue  # `_pairs` reports a partner that exists but is not paired
        text = f"{name!r} has no partner {mirrored!r} on the other side; add it, or list its index {i} under 'alone'."
        findings.append(Finding(category.name, "partner", i, text))
    return findings


# --- the whole -----------------------------------------------------------------------------------------------------


def _pairs(category: Category) -> list[Finding]:
    """Pairs of names that do not mirror each other, and mirrored names that are no pair."""
    names = category.names
    paired = {i for pair in category.pairs or () for i in pair}
    findings = []
    for a, b in category.pairs or ():
        if (sides_of(names[a]) or sides_of(names[b])) and not mirrors(names[a], names[b]):
            text = f"the pair [{a}, {b}] joins {names[a]!r} and {names[b]!r}, which are no mirrored names; mend one."
            findings.append(Finding(category.name, "pairs", a, text))
    for a, b in mirrored_pairs(names):
        if not {a, b} & paired:  # a pair of one of them is right or was reported above
            text = f"{names[a]!r} and {names[b]!r} mirror each other but are no pair; add [{a}, {b}] to 'pairs'."
            findings.append(Finding(category.name, "pairs", a, text))
    return findings


def _skeleton(category: Category) -> list[Finding]:
    """Edges that are there twice, and points without an edge."""
    names = category.names
    edges: set[frozenset[int]] = set()
    findings = []
    for a, b in category.skeleton:
        if frozenset((a, b)) in edges:
            text = f"the skeleton joins {names[a]!r} and {names[b]!r} twice; leave out one [{a}, {b}]."
            findings.append(Finding(category.name, "skeleton", a, text))
        edges.add(frozenset((a, b)))
    joined = {i for edge in edges for i in edge}
    for i, name in enumerate(names):
        if joined and i not in joined and i not in category.alone:
            text = f"{name!r} is in no edge of the skeleton; join it to another, or list its index {i} under 'alone'."
            findings.append(Finding(category.name, "skeleton", i, text))
    return findings


def _one(sides: set[tuple[str, str]]) -> str:
    return " or ".join(sorted({side for _, side in sides}))
