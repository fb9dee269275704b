"""Descriptions as full sentences: the library's are phrases, "Eye on the cat's own left side of the head"."""

import re

# First words of descriptions that say where a point is and take no article: it is "on the outer edge".
PLACES = ("about", "at", "between", "halfway", "in", "just", "near", "on", "one", "under", "where", "below", "above")
_ADVERB = re.compile(r"(high|low) (on|in|at) ", re.IGNORECASE)  # "High on the rump" is a place too, "Low end" is none
_ARTICLE = re.compile(r"(the|an?|this|that|its?|their|his|her)\b", re.IGNORECASE)
# A subject and its verb: "The nose is the central feature". A relative clause's verb is another one.
_SENTENCE = re.compile(
    r"(the|an?|it|this)\b(?:(?!\b(?:that|which|where|who)\b)[^,.;])*?\b(is|are|lies|lie)\b", re.IGNORECASE
)
_PLURAL = re.compile(r"[a-z]{3,}(?<!s)(?<!u)(?<!i)(?<!a)s", re.IGNORECASE)  # toes, but no thorax, axis, pancreas


def sentence(name: str, description: str) -> str:
    """A keypoint's description as a sentence about it: "The left eye is the eye on the left side of the head."

    A description that is a sentence already stays as it is.
    """
    if _SENTENCE.match(description):
        return description
    first = name.split()[0].lower()
    subject = f"point {name}" if first in PLACES else name
    head = re.split(r" (?:of|on|at|in|for) |,", subject)[0].split()[-1]
    verb = "are" if _PLURAL.fullmatch(head) else "is"
    comma = "," if "," in subject else ""
    article = "" if _ARTICLE.match(subject) else "The "
    return f"{article}{subject}{comma} {verb} {_predicate(description)}"


def inside(text: str) -> str:
    """A sentence as the rest of another one: its first letter is small, unless the word is an abbreviation (USB)."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _predicate(description: str) -> str:
    first = description.split()[0].lower()
    if first in PLACES or _ADVERB.match(description) or _ARTICLE.match(description):
        return inside(description)
    return f"the {inside(description)}"
