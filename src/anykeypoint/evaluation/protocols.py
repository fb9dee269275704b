"""Protocols of an evaluation: what a model is given, what it predicts, and which pairs of examples and query count."""

import re
from dataclasses import dataclass

from ..configs.checks import near_names
from ..data.pairs import SEED, Pair, category_episodes, episode_pairs, listed_pairs, one_each
from ..errors import InputError
from ..forms.dataset import Dataset

PROTOCOLS = (
    "text, text-pairs, text-pairs-all, N-shot, both, both-N, listed, text-listed, both-listed, megakpt, text-megakpt, "
    "both-megakpt, identify or identify-names"
)
LISTED, MEGAKPT = "listed", "megakpt"
MEGAKPT_EPISODES, MEGAKPT_QUERIES = 1000, 10  # of a test of MegaKPT, all categories together
INCOMPLETE = "pairs of the data set with an object that was left out"
TOO_FEW = "too few other objects of the category for its examples"


@dataclass(frozen=True)
class EvaluationProtocol:
    """What a model is given and what it predicts.

    uses_text: whether it may read the keypoints' names and descriptions.
    examples: number of examples that it gets with each query.
    drawn: number of examples that are drawn for each query, whether the model gets them or not. A metric counts the
        points that are labelled in the query and in all drawn examples.
    identifies: whether it names marked points instead of predicting where named points are.
    lists_names: whether it chooses among the names of the category when it names points.
    asks_all: whether words ask for all points of the category, where examples are drawn and the model gets none.
    pairing: where the pairs come from: "" draws them, "listed" takes those of the data set, "megakpt" draws episodes
        over all categories together.
    """

    uses_text: bool = True
    examples: int = 0
    drawn: int = 0
    identifies: bool = False
    lists_names: bool = False
    asks_all: bool = False
    pairing: str = ""

    @classmethod
    def parse(cls, text: str) -> "EvaluationProtocol":
        """A protocol by name; InputError for a name that is none of these:

        text              text prompts, every object once (CapeLLM's "only query images")
        text-pairs        text prompts, on the pairs of 1-shot and without the points that the drawn example hides: what
                          matchers are trained on, and how the released CapeX is tested
        text-pairs-all    the same pairs and scored points, asked for all points of the category at once (CapeLLM's
                          "support-query pairs", where no question depends on another)
        N-shot            N examples
        both, both-N      text and one example, or N
        listed            one example, on the pairs and points that the data set lists itself (SPair-71k, SPair-U, SOCO)
        text-listed       words of all points on the same pairs and points
        both-listed       words and example on the same
        megakpt           one example, 1,000 episodes of one category each with 10 queries (GKDT's tests of MegaKPT)
        text-megakpt      words, on episodes without examples, scored on all labelled points of the query
        both-megakpt      words and example; scored, unlike in GKDT, without the points that the example lacks
        identify          a marked point's name in the model's own words (KptLLM++, Table 1)
        identify-names    the same, chosen among the category's names
        """
        known = {
            "text": cls(),
            "text-pairs": cls(drawn=1),
            "text-pairs-all": cls(drawn=1, asks_all=True),
            "both": cls(examples=1, drawn=1),
            LISTED: cls(uses_text=False, examples=1, drawn=1, pairing=LISTED),
            "text-listed": cls(drawn=1, asks_all=True, pairing=LISTED),
            "both-listed": cls(examples=1, drawn=1, pairing=LISTED),
            MEGAKPT: cls(uses_text=False, examples=1, drawn=1, pairing=MEGAKPT),
            "text-megakpt": cls(pairing=MEGAKPT),
            "both-megakpt": cls(examples=1, drawn=1, pairing=MEGAKPT),
            "identify": cls(uses_text=False, identifies=True),
            "identify-names": cls(uses_text=False, identifies=True, lists_names=True),
        }
        if text in known:
            return known[text]
        if match := re.fullmatch(r"([1-9]\d*)-shot", text):
            return cls(uses_text=False, examples=int(match[1]), drawn=int(match[1]))
        if match := re.fullmatch(r"both-([1-9]\d*)", text):
            return cls(examples=int(match[1]), drawn=int(match[1]))
        near = near_names(text, [*known, "1-shot", "5-shot", "both-5"])
        raise InputError(f"The protocol must be {PROTOCOLS}, but got {text!r}{near}.")

    @property
    def hides(self) -> bool:
        """Whether the model is not asked for points that a drawn example, which it does not get, lacks."""
        return self.drawn > self.examples and not self.asks_all

    @property
    def prompt(self) -> str:
        """The prompt that a model must support: "text", "example", "both" or "identify"."""
        if self.identifies:
            return "identify"
        return ("both" if self.examples else "text") if self.uses_text else "example"


def draw_pairs(
    dataset: Dataset, protocol: EvaluationProtocol, episode_count: int | None, seed: int
) -> tuple[list[Pair], dict[str, int]]:
    """The pairs that a protocol scores, and the number of objects that are left out, by reason.

    episode_count: number of episodes of each category, as MP-100's released sampler draws them (200 for its test files,
        each with 15 queries); None makes every object a query once. Of the protocols of MegaKPT it is the number of
        all episodes together, 1,000 where None.
    seed: decides the draws; 0 gives the draws of the released sampler.
    Raises InputError for episodes of a protocol without examples or with listed pairs, for data without listed pairs,
    and for categories too small for their episodes.
    """
    if protocol.pairing == LISTED:
        if episode_count is not None:
            raise InputError("The pairs are those that the data list, so that none are drawn; leave the episodes out.")
        pairs, incomplete = listed_pairs(dataset)
        return pairs, {INCOMPLETE: incomplete} if incomplete else {}
    if protocol.pairing == MEGAKPT:
        count = MEGAKPT_EPISODES if episode_count is None else episode_count
        return category_episodes(dataset, protocol.drawn, count, MEGAKPT_QUERIES, SEED + seed), {}
    if episode_count is not None:
        if not protocol.drawn:
            raise InputError("Episodes are drawn for protocols with examples; leave them out, or take text-pairs.")
        return list(episode_pairs(dataset, protocol.drawn, episode_count, seed=SEED + seed)), {}
    pairs = one_each(dataset, protocol.drawn, seed)
    left_out = len(dataset.objects) - len(pairs)
    return pairs, {TOO_FEW: left_out} if left_out else {}
