"""Position words of a name as a vector of their own, beside the vector of a text encoder.

In a sentence encoder "front left leg" and "front right leg" have nearly the same vector. Here each position word of
`place_words.yaml`, with its synonyms, has a channel, so that names which differ by one such word differ clearly.

Letters: P names, W channels.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import resources

import torch
import yaml
from torch import Tensor

from ...category import spoken

_PARENTHESES = re.compile(r"\([^)]*\)")
_COMPOUNDS = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Za-z]{3})")
_PART = 0.5  # value of the words behind the first "of": of "lower end of the upper joint" these name the part


def place_width() -> int:
    """The number W of channels."""
    return max(_forms().values()) + 1


def place_words(names: Sequence[str]) -> Tensor:
    """Vectors [P, W] float32: 1 where a name has a word of the channel, 0.5 where it stands behind the first "of".

    names: of keypoints, without description and without the noun of the object. What is in parentheses is left out.
    """
    found = torch.zeros(len(names), place_width())
    for row, name in enumerate(names):
        for channel, value in _found(name).items():
            found[row, channel] = value
    return found


def is_place_word(word: str) -> bool:
    """Whether a word says where a point is; numbers do not count."""
    return word.isalpha() and (word.casefold(),) in _forms()


@lru_cache(maxsize=2**14)
def _found(name: str) -> Mapping[int, float]:
    """Channel -> value of the position words of a name."""
    forms = _forms()
    text = _COMPOUNDS.sub(" ", spoken(_PARENTHESES.sub(" ", name))).casefold()
    words, value, start, values = re.findall(r"[0-9]+(?:st|nd|rd|th)|[a-z]+(?:-[a-z]+)*|[0-9]+", text), 1.0, 0, {}
    longest = max(len(form) for form in forms)
    while start < len(words):
        size = next((n for n in range(longest, 0, -1) if tuple(words[start : start + n]) in forms), 0)
        if size:
            values.setdefault(forms[tuple(words[start : start + size])], value)
        elif words[start] == "of":
            value = _PART
        start += max(size, 1)
    return values


@cache
def _forms() -> Mapping[tuple[str, ...], int]:
    """The words of each form -> its channel."""
    text = (resources.files("anykeypoint.models.towers") / "place_words.yaml").read_text(encoding="utf-8")
    channels = yaml.safe_load(text)["channels"]
    return {tuple(form.split()): number for number, channel in enumerate(channels) for form in channel}
