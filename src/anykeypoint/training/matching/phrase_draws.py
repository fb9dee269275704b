"""Phrases drawn anew for each episode: in several forms, with and without descriptions, in other words.

A person says "left front paw", "left front paw of a sheep", "paw, left front" or "l. fore foot". A matcher that was
trained on one form answers the others worse. The forms are those of `models.matching.phrasing`; the other words are
data, `paraphrases.yaml`. What an episode draws depends on the seed and its number alone.

There is a fixed number of voices, each a way to replace the words, so that the phrases of a run can be listed, and
encoded once (`phrase_table`). Voice 0 changes nothing.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import ClassVar

import numpy as np
import yaml

from ...category import Category, spoken
from ...configs.checks import check_positive, check_share, check_whole
from ...configs.strict import Config
from ...errors import InputError
from ...models.matching.phrasing import FORMS, Phrase, phrase_of


@dataclass(frozen=True)
class PhraseDraws(Config):
    """How often an episode's phrases have each form, and other words. The weights of the forms are relative.

    name: weight of the name alone, "left front paw".
    noun: of "left front paw of a sheep".
    broader: of "left front paw of a four-legged animal".
    both: of "left front paw of a sheep, a four-legged animal".
    turned: of "paw, left front".
    inside: of "left front sheep paw".
    reworded: share of the episodes whose names are in other words (`paraphrases.yaml`).
    voices: number of ways to choose among these words; each is one more phrase of a name to encode.
    """

    called: ClassVar[str] = "The options of phrase_draws"

    name: float = 1.0
    noun: float = 0.0
    broader: float = 0.0
    both: float = 0.0
    turned: float = 0.0
    inside: float = 0.0
    reworded: float = 0.0
    voices: int = 4

    def __post_init__(self) -> None:
        for form in FORMS:
            check_positive(getattr(self, form), f"phrase_draws' {form}", zero=True)
        check_share(self.reworded, "phrase_draws' reworded")
        check_whole(self.voices, "phrase_draws' voices")
        if not any(self.weights):
            raise InputError("The weights of the forms in phrase_draws are all 0; give one above 0.")

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of FORMS."""
        return tuple(getattr(self, form) for form in FORMS)

    def draw(self, seed: int, number: int) -> tuple[str, int]:
        """The form and the voice of an episode. seed: of the run. number: of the episode."""
        rng = np.random.default_rng([seed, 9, number])
        form = FORMS[rng.choice(len(FORMS), p=np.array(self.weights) / sum(self.weights))]
        reworded, voice = rng.random() < self.reworded, int(rng.integers(1, self.voices + 1))
        return form, voice if reworded else 0

    def all_phrases(self, categories: Iterable[Category], described: Sequence[bool]) -> list[Phrase]:
        """All phrases that episodes of these categories may draw, each text once, sorted.

        described: whether phrases have descriptions: True, False, or both.
        """
        forms = [form for form, weight in zip(FORMS, self.weights, strict=True) if weight]
        voices = range(self.voices + 1 if self.reworded else 1)
        phrases = {
            phrase.text: phrase
            for category in dict.fromkeys(categories)
            for form in forms
            for voice in voices
            for with_description in described
            for phrase in drawn_phrases(category, form, voice, with_description)
        }
        return [phrases[text] for text in sorted(phrases)]


def drawn_phrases(category: Category, form: str, voice: int, described: bool) -> list[Phrase]:
    """The phrases of a category's keypoints in one form and voice."""
    return [
        phrase_of(point, category.noun, form, described, in_voice(spoken(point.name), voice))
        for point in category.keypoints
    ]


@lru_cache(maxsize=2**16)
def in_voice(name: str, voice: int) -> str:
    """A name in the words of a voice; 0 leaves it as it is.

    A voice replaces each word in every name by the same one, as a person does, or leaves it in every name.
    """
    if not voice:
        return name
    pattern, words = _paraphrases()

    def replaced(match: re.Match) -> str:
        key, others = words[match.lastindex - 1]
        choices = (match.group(), *others)
        return choices[np.random.default_rng([voice, *key.encode()]).integers(len(choices))]

    return pattern.sub(replaced, name)


@cache
def _paraphrases() -> tuple[re.Pattern, Sequence[tuple[str, Sequence[str]]]]:
    """A pattern with a group for each key, and the keys with their other words, longer keys first."""
    text = (resources.files("anykeypoint.training.matching") / "paraphrases.yaml").read_text(encoding="utf-8")
    words = sorted(yaml.safe_load(text)["words"].items(), key=lambda item: (-len(item[0].split()), item[0]))
    parts = [
        ("^" if key.startswith("^") else r"(?<![\w-])")
        + re.escape(key.strip("^$"))
        + ("$" if key.endswith("$") else "")
        for key, _ in words
    ]
    return re.compile("|".join(rf"({part}(?![\w-]))" for part in parts), re.IGNORECASE), words
