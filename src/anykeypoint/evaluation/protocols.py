"""What an evaluation asks, and about which pairs of examples and queries."""

import re
from dataclasses import dataclass

from ..data.pairs import SEED, Pair, episodes, one_each
from ..errors import InputError
from ..forms.dataset import Dataset

WAYS = "text, text-pairs, N-shot, both, both-N, identify or identify-names"
TOO_FEW = "too few other objects of the category for its examples"


@dataclass(frozen=True)
class Protocol:
    """What a model is told and what it is asked for.

    words: the keypoints' names and descriptions. shown: how many examples it sees. drawn: how many are drawn for a
    query; a figure counts the points that the query and all drawn examples show.
    names: it is asked for the name of a marked point, not for places. chooses: out of its category's names.
    """

    words: bool = True
    shown: int = 0
    drawn: int = 0
    names: bool = False
    chooses: bool = False

    @classmethod
    def parse(cls, text: str) -> "Protocol":
        """A protocol by name:

        text              by words; every object once (CapeLLM's "only query images")
        text-pairs        by words, on the pairs and points of 1-shot (CapeLLM's "support-query pairs")
        N-shot            by N examples
        both, both-N      by words and one example, or N
        identify          a marked point's name in the model's own words (KptLLM++, Table 1)
        identify-names    the same, out of the category's names
        """
        known = {
            "text": cls(),
            "text-pairs": cls(drawn=1),
            "both": cls(shown=1, drawn=1),
            "identify": cls(words=False, names=True),
            "identify-names": cls(words=False, names=True, chooses=True),
        }
        if text in known:
            return known[text]
        if found := re.fullmatch(r"([1-9]\d*)-shot", text):
            return cls(words=False, shown=int(found[1]), drawn=int(found[1]))
        if found := re.fullmatch(r"both-([1-9]\d*)", text):
            return cls(shown=int(found[1]), drawn=int(found[1]))
        raise InputError(f"The protocol must be {WAYS}, but got {text!r}.")

    @property
    def prompt(self) -> str:
        """What a model must be able to do: "text", "example", "both" or "identify"."""
        if self.names:
            return "identify"
        return ("both" if self.shown else "text") if self.words else "example"


def draw_pairs(dataset: Dataset, protocol: Protocol, count: int | None, seed: int) -> tuple[list[Pair], dict[str, int]]:
    """The pairs that a protocol scores, and how many objects are left out and why.

    count: episodes of each category, as MP-100's released sampler draws them (200 for its test files, each with 15
    queries); seed 0 gives that sampler's own. None takes every object once as a query.
    Raises InputError for episodes of a protocol that draws no examples, and for categories that are too small for them.
    """
    if count is not None:
        if not protocol.drawn:
            raise InputError("Episodes are drawn for protocols with examples; leave them out, or take text-pairs.")
        return list(episodes(dataset, protocol.drawn, count, seed=SEED + seed)), {}
    pairs = one_each(dataset, protocol.drawn, seed)
    left_out = len(dataset.objects) - len(pairs)
    return pairs, {TOO_FEW: left_out} if left_out else {}
