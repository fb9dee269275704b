"""Conversation forms: how a question about a keypoint is put into words, as small declarative templates.

A prompt is `{image tokens}{opening}{question}` and, in training, `{answer}{ending}` and the next round's question. The
`base` form is the released CapeLLM's to the letter (roles User, Reference, Assistant); `brief` asks the same in fewer
tokens, names the object and ends on the name, for small models on slow machines: what is asked for then stands right
before the answer and need not be carried there through many layers.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from .category import Category, Keypoint
from .errors import InputError


@dataclass(frozen=True)
class Instruction:
    """One form. Slots of `question`: {name}, {noun}, {reference}; of `reference`: {description}."""

    name: str
    question: str
    reference: str  # replaces {reference} where there is a description
    without: str = ""  # replaces {reference} where there is none
    opening: str = "\n"  # between the image tokens and the first question
    ending: str = "</s>"  # after every answer

    def ask(self, keypoint: Keypoint, noun: str = "object", describe: bool = True, special: Sequence[str] = ()) -> str:
        """The question about one keypoint, ready for an answer that starts with a blank.

        special: strings that the tokenizer treats as control tokens; users' text is stripped of their power, and of
        the form's own ending's, which a tokenizer may read as plain text.
        """
        special = (*special, self.ending)
        name, noun = neutral(keypoint.name, special), neutral(noun, special)
        description = neutral(keypoint.description, special) if describe else ""
        reference = self.reference.format(description=description) if description else self.without
        return self.question.format(name=name, noun=noun, reference=reference)

    def questions(self, category: Category, describe: bool = True, special: Sequence[str] = ()) -> list[str]:
        """One question per keypoint of a category, each opened as the first round after the image."""
        return [self.opening + self.ask(kp, category.noun, describe, special) for kp in category.keypoints]

    def conversation(self, rounds: Sequence[tuple[str, str]]) -> str:
        """Rounds of (question, answer text) as one training text after the image tokens."""
        return self.opening + "".join(f"{question} {answer}{self.ending}" for question, answer in rounds)


INSTRUCTIONS = {
    form.name: form
    for form in (
        Instruction(
            name="base",
            question="User: Where is the {name} of this object in this image? Please provide its coordinates.\n"
            "{reference}Assistant:",
            reference="Reference: {description}\n",
        ),
        Instruction(
            name="brief",
            question="{reference}Find on this {noun} the {name}:",
            reference="Reference: {description}\n",
        ),
    )
}


def instruction(name: str) -> Instruction:
    """The form of that name; InputError lists the known ones."""
    if name not in INSTRUCTIONS:
        raise InputError(f"There is no instruction form {name!r}; known are {', '.join(INSTRUCTIONS)}.")
    return INSTRUCTIONS[name]


def neutral(text: str, special: Sequence[str] = ()) -> str:
    """Users' text made harmless: one line, no control characters or surrogates, no string that a tokenizer reads as a
    control token.

    A control token such as `</s>` gets a blank after its first character and is then ordinary text.
    """
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    text = " ".join(text.split())
    special = [token.strip() for token in special]  # with the blanks, some would come back as fast as they go
    while found := [token for token in special if len(token) > 1 and token in text]:
        for token in found:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
