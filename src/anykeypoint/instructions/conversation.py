"""Conversation forms: how a language model is asked for keypoints. Each is a small template in a YAML file.

A conversation is `{before}{image tokens}{opening}`, the rounds of `first`, and one round for every keypoint that it is
about. A round is a question and, after a blank, its answer and `ending`. For training, a conversation is cut into
segments: text, and coordinates of points, each either given or to be answered.

The forms of the library are those of CapeLLM's comparisons (Tables 10, 11, 13 and 18, Fig. 6 to 8):

    base             the released CapeLLM's, to the letter (roles User, Reference, Assistant)
    brief            the same in fewer tokens, for small models: it names the object, and the keypoint's name stands
                     directly in front of the answer
    no_description   by name alone
    name_list        with the names of all keypoints in front
    outline          with an explanation of the conversation in front
    diverse          with many wordings of the question
    diverse_outline  outline and diverse
    locllm           LocLLM's order: description, then question
    step_by_step     first the object, then its points
    direct_qa        from a point to its name, for pre-training
    step_by_step_qa  step_by_step, from a point to its name

How descriptions are given is independent of the form, see `DESCRIBE`.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from ..category import Category
from ..configs.checks import near_names
from ..configs.strict import Config
from ..errors import InputError
from .category_text import CategoryText, check_describe
from .registry import FormLibrary

LIBRARY = FormLibrary("anykeypoint.instructions", "instruction form")
POINT = "\0"  # stands for coordinates while text is put together; `neutral` removes it from users' text

# Template -> the slots that it may have.
SLOTS = {
    "before": (),
    "opening": ("noun", "names"),
    "first question": ("noun", "names"),
    "first answer": ("noun", "names", "visible"),
    "question": ("wording", "reference"),
    "wordings": ("name", "noun", "names", "coordinates", "given"),
    "reference": ("description", "reason", "name", "noun"),
    "without": ("name", "noun"),
    "answer": ("coordinates", "name", "noun", "names", "visible", "reference"),
    "ending": (),
}


@dataclass(frozen=True)
class Text:
    """A stretch of text in a conversation.

    text: what it says.
    answer: whether the model is to write it.
    """

    text: str
    answer: bool = False


@dataclass(frozen=True)
class Point:
    """The coordinates of a keypoint in a conversation.

    keypoint: its index in the category.
    answer: whether the model is to write them.
    """

    keypoint: int
    answer: bool = False


Segment = Text | Point


@dataclass(frozen=True)
class Round(Config):
    """A question and its answer, both text."""

    question: str
    answer: str


@dataclass(frozen=True)
class Instruction(Config):
    """One conversation form. Raises InputError for a slot that a template may not have (SLOTS).

    name: its name.
    question: holds {wording} and, where the form gives descriptions, {reference}.
    wordings: one of them is drawn per question in training; otherwise it is the first.
    reference: replaces {reference} where there is a description.
    without: replaces {reference} where there is none.
    answer: {coordinates} alone; or text, for forms to train with that do not find points.
    before: stands in front of the image tokens.
    opening: stands between the image tokens and the first question.
    first: rounds in front of the first keypoint's.
    ending: ends every answer.

    Slots: {name} of the keypoint, {given} the name that the user calls it by, which may be wrong, {noun} of the object,
    {names} of all keypoints of the category, {visible} the names of those in the picture (known in training only),
    {description} of the keypoint, {reason} the same as the rest of a sentence that begins with "because", {coordinates}
    of the keypoint, which follow a blank as an answer does.
    """

    name: str
    question: str
    wordings: tuple[str, ...]
    reference: str = ""
    without: str = ""
    answer: str = "{coordinates}"
    before: str = ""
    opening: str = "\n"
    first: tuple[Round, ...] = ()
    ending: str = "</s>"

    def __post_init__(self) -> None:
        for field, templates in self._templates():
            for template in templates:
                _check_slots(template, field, self.name)
        what = f"The instruction form {self.name!r}"
        if not self.wordings:
            raise InputError(f"{what} has no wordings; give at least one.")
        if "{wording}" not in self.question:
            raise InputError(f"{what} has a question without {{wording}}; say where the wording stands.")
        if "{coordinates}" in self.answer and not self.answers_points:
            raise InputError(f"{what} answers {self.answer!r}; answer with {{coordinates}} alone, or in words.")
        given = [wording for wording in self.wordings if "{coordinates}" in wording]
        if given and self.answers_points:
            raise InputError(f"{what} gives away the {{coordinates}} that it asks for; let it answer in words.")
        if any(" {coordinates}" not in wording or wording.count("{coordinates}") > 1 for wording in given):
            raise InputError(
                f"{what} must have {{coordinates}} once in a wording, behind a blank; change {given[0]!r}."
            )
        if self.answers_points and any("{visible}" in step.answer for step in self.first):
            raise InputError(f"{what} asks for places, so what is {{visible}} is not known yet; use {{names}}.")

    @property
    def answers_points(self) -> bool:
        """Whether the answers are points; else they are text about a given point."""
        return self.answer == "{coordinates}"

    @property
    def answers_text(self) -> bool:
        """Whether some answers are text."""
        return bool(self.first) or not self.answers_points

    # --- conversations ------------------------------------------------------------------------------------------------

    def conversation(
        self,
        category: Category,
        group: Sequence[int],
        describe: str | Sequence[str] = "detailed",
        *,
        noun: str | None = None,
        wordings: Sequence[int] = (),
        visible: Sequence[int] = (),
        given: str | None = None,
        special: Sequence[str] = (),
    ) -> list[Segment]:
        """Rounds about a group of keypoints, to follow the image tokens.

        group: indices of the keypoints.
        describe: one of DESCRIBE, or one for each keypoint of the group.
        noun: the object's noun; None takes the category's.
        wordings: index of each question's wording; without them it is the first.
        visible: indices of the keypoints in the picture.
        given: the name that the user calls every keypoint of the group by; None takes the keypoint's own.
        special: strings that the tokenizer reads as control tokens. Users' text is changed so that it contains none of
            them, nor the form's ending, which some tokenizers read as plain text.
        """
        text = CategoryText(category, noun, visible, (*special, self.ending), given)
        ways = [describe] * len(group) if isinstance(describe, str) else describe
        chosen = wordings or [0] * len(group)
        segments: list[Segment] = []
        for step in self.first:
            question, answer = step.question.format(**text.shared), step.answer.format(**text.shared)
            segments += self._round([Text(question)], [Text(answer, True)])
        for keypoint, way, wording in zip(group, ways, chosen, strict=True):
            segments += self._round(*self._about(text, keypoint, way, self.wordings[wording]))
        opening = self.opening.format(**text.shared)
        return [Text(opening + segments[0].text), *segments[1:]]

    def prompt(self, category: Category, keypoint: int, describe: str = "detailed", **options: Any) -> list[Segment]:
        """The conversation about one keypoint up to its answer, which starts with a blank.

        options: further arguments of `conversation`.
        """
        segments = self.conversation(category, [keypoint], describe, **options)
        last = max(i for i, segment in enumerate(segments) if not segment.answer)
        return segments[: last + 1]

    def _about(
        self, text: CategoryText, keypoint: int, describe: str, wording: str
    ) -> tuple[list[Segment], list[Segment]]:
        """Question and answer about the keypoint of this index."""
        values = {**text.values(keypoint), "coordinates": POINT}
        reference = self._reference(text, keypoint, check_describe(describe))
        question = self.question.format(wording=wording.format(**values), reference=reference)
        answer: list[Segment] = [Point(keypoint, True)]
        if not self.answers_points:
            answer = [Text(self.answer.format(**values, reference=reference), True)]
        if POINT not in question:
            return [Text(question)], answer
        before, after = question.split(f" {POINT}")
        return [Text(before), Point(keypoint), Text(after)], answer

    def _reference(self, text: CategoryText, keypoint: int, describe: str) -> str:
        """What {reference} stands for in a question about the keypoint of this index."""
        if describe not in ("detailed", "removed") and "{reference}" not in self.question + self.answer:
            raise InputError(
                f"The instruction form {self.name!r} gives no descriptions, so none can be {describe}; "
                "use another form, or detailed or removed."
            )
        description = text.description(keypoint, describe)
        if not description:
            return self.without.format(**text.values(keypoint))
        reason = text.reason(keypoint, describe) if "{reason}" in self.reference else ""
        return self.reference.format(**text.values(keypoint), description=description, reason=reason)

    def _round(self, question: list[Segment], answer: list[Segment]) -> list[Segment]:
        """A question, its answer and the ending. The blank in front of coordinates is part of their tokens."""
        start = [Text(f" {answer[0].text}", True)] if isinstance(answer[0], Text) else answer
        return [*question, *start, *([Text(self.ending, True)] if self.ending else [])]

    def _templates(self) -> list[tuple[str, Sequence[str]]]:
        """The templates by their key in SLOTS."""
        single = ("before", "opening", "question", "reference", "without", "answer", "ending")
        return [
            *((field, (getattr(self, field),)) for field in single),
            ("wordings", self.wordings),
            ("first question", [step.question for step in self.first]),
            ("first answer", [step.answer for step in self.first]),
        ]

    # --- reading ------------------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, data: Any, origin: str = "The model's instruction form", name: str = "") -> "Instruction":
        """Read a form: texts by key, `wordings` a list of texts, `first` a list of {question, answer}.

        A key `extends` names a form of the library, from which the keys that are left out are taken.

        origin: where the data come from, the subject of messages.
        name: the form's name where the data have none.

        Raises InputError, which names `origin` and the key, for unknown and missing keys and wrong types.
        """
        if not isinstance(data, dict):
            raise InputError(f"{origin} must be a mapping of templates, but got {data!r}.")
        data = {"name": name, **data}
        if (base := data.pop("extends", None)) is not None:
            if base not in instruction_names():
                raise InputError(
                    f"{origin} extends {base!r}, which is no form{near_names(base, instruction_names())}; known are "
                    f"{', '.join(instruction_names())}."
                )
            data = {**vars(instruction(base)), **data}
        known = [f.name for f in fields(cls)]
        if unknown := [key for key in data if key not in known]:
            near = near_names(unknown[0], ["extends", *known])
            raise InputError(
                f"{origin} has the unknown key {unknown[0]!r}{near}; known are extends, {', '.join(known)}."
            )
        if missing := [key for key in ("question", "wordings") if key not in data]:
            raise InputError(f"{origin} lacks the key {missing[0]!r}.")
        for key, value in data.items():
            if key not in ("wordings", "first") and not isinstance(value, str):
                raise InputError(f"{origin}: {key} must be text, but got {value!r}.")
        wordings, first = data["wordings"], data.get("first", ())
        if not isinstance(wordings, list | tuple) or not all(isinstance(wording, str) for wording in wordings):
            raise InputError(f"{origin}: wordings must be a list of texts, but got {wordings!r}.")
        if not isinstance(first, list | tuple):
            raise InputError(f"{origin}: first must be a list of rounds, but got {first!r}.")
        rounds = tuple(map(partial(_read_round, origin=origin), first))
        return cls(**{**data, "wordings": tuple(wordings), "first": rounds})

    @classmethod
    def from_file(cls, path: str | Path) -> "Instruction":
        """The form of a YAML file, named after the file."""
        return LIBRARY.read_file(cls, path)


def instruction_names() -> tuple[str, ...]:
    """Names of the library's conversation forms, sorted."""
    return LIBRARY.names()


def instruction(form: str | Instruction) -> Instruction:
    """A conversation form, from its name in the library or the path of its YAML file."""
    return LIBRARY.get(Instruction, form)


def instruction_setting(form: str | Instruction) -> str | Instruction:
    """A conversation form as a config keeps it: the library's by name, that of a file with its content."""
    return LIBRARY.setting(Instruction, form)


def _read_round(item: Any, origin: str) -> Round:
    if isinstance(item, Round):
        return item
    if (
        not isinstance(item, dict)
        or set(item) != {"question", "answer"}
        or not all(isinstance(value, str) for value in item.values())
    ):
        raise InputError(f"{origin}: a round of first must have the texts question and answer, but got {item!r}.")
    return Round(**item)


def _check_slots(template: str, field: str, form: str) -> None:
    """InputError where a template is malformed or has a slot that is not in SLOTS."""
    where, slots = f"The {field} of the instruction form {form!r}", SLOTS[field]
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"{where} is no template ({error}): {template!r}; write {{{{ for a brace.") from error
    for _, slot, spec, conversion in parts:
        if slot is not None and (slot not in slots or spec or conversion):
            valid = ", ".join(f"{{{name}}}" for name in slots) or "none"
            raise InputError(f"{where} has the unknown slot {{{slot}}}; valid are {valid}.")
