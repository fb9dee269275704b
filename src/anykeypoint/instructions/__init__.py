"""Conversation forms: how keypoints are asked for in words. Each is a small template in a YAML file of this folder.

A conversation is `{before}{image tokens}{opening}`, the rounds of `first`, and a round for every keypoint that it is
about. A round is a question and, behind a blank, its answer and `ending`. What is to be learnt of a conversation is
said by cutting it into segments: text, and the coordinates of points, each of them either given or to be answered.

The forms are those of CapeLLM's comparisons (Tables 10, 11, 13 and 18, Fig. 6 to 8):

    base            the released CapeLLM's, to the letter (roles User, Reference, Assistant)
    brief           asks the same in fewer tokens, names the object and ends on the name, for small models on slow
                    machines: what is asked for then stands right before the answer
    no_description  by name alone                       name_list         the names of all keypoints in front
    outline         the conversation explained in front diverse           many wordings of the question
    diverse_outline both                                locllm            LocLLM's order: description, then question
    step_by_step    first the object, then its points   direct_qa, step_by_step_qa   from point to name, pre-training

Orthogonal to the form is how descriptions are given, see DESCRIBE.
"""

import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..category import Category
from ..errors import InputError

# How a question gives the keypoint's description: as it is; not at all; a sentence that there is none (Table 7); or a
# sentence that says nothing of where the point lies (Table 5).
DESCRIBE = ("detailed", "removed", "replaced", "vague")

_NOTHING = "There is no description to refer to."
_POINT = "\0"  # holds the place of coordinates while text is put together; no user's text keeps one

# What each template may hold.
_SLOTS = {
    "before": (),
    "opening": ("noun", "names"),
    "first question": ("noun", "names"),
    "first answer": ("noun", "names", "visible"),
    "question": ("wording", "reference"),
    "wordings": ("name", "noun", "names", "coordinates"),
    "reference": ("description", "reason", "name", "noun"),
    "without": ("name", "noun"),
    "answer": ("coordinates", "name", "noun", "names", "visible", "reference"),
    "ending": (),
}


@dataclass(frozen=True)
class Text:
    """A stretch of a conversation in words; `answer` says that the model is to write it."""

    text: str
    answer: bool = False


@dataclass(frozen=True)
class Point:
    """The coordinates of the category's keypoint of that index; `answer` says that the model is to write them."""

    keypoint: int
    answer: bool = False


Segment = Text | Point


@dataclass(frozen=True)
class Round:
    """A question and its answer in words."""

    question: str
    answer: str


@dataclass(frozen=True)
class Instruction:
    """One form. The slots of a template are those of `_SLOTS`; an unknown one is refused.

    {name}, {noun}: of the keypoint and the object. {names}: of all keypoints of the category, {visible}: of those that
    lie in the picture (known in training only). {description}: the keypoint's; {reason}: the same to go on a sentence.
    {coordinates}: the keypoint's place; it follows a blank, as an answer does.
    """

    name: str
    question: str  # holds {wording} and, where the form gives descriptions, {reference}
    wordings: tuple[str, ...]  # one is drawn per question in training; otherwise it is the first
    reference: str = ""  # replaces {reference} where there is a description
    without: str = ""  # replaces {reference} where there is none
    answer: str = "{coordinates}"  # or words, to learn from and not to find points with
    before: str = ""  # in front of the image tokens
    opening: str = "\n"  # between the image tokens and the first question
    first: tuple[Round, ...] = ()  # rounds before the first keypoint's
    ending: str = "</s>"  # behind every answer

    def __post_init__(self) -> None:
        for field, templates in self._templates():
            for template in templates:
                _check_slots(template, field, self.name)
        what = f"The instruction form {self.name!r}"
        if not self.wordings:
            raise InputError(f"{what} has no wordings; give at least one.")
        if "{wording}" not in self.question:
            raise InputError(f"{what} has a question without {{wording}}; say where the wording stands.")
        if "{coordinates}" in self.answer and self.answer != "{coordinates}":
            raise InputError(f"{what} answers {self.answer!r}; answer with {{coordinates}} alone, or in words.")
        given = [wording for wording in self.wordings if "{coordinates}" in wording]
        if given and self.finds:
            raise InputError(f"{what} gives away the {{coordinates}} that it asks for; let it answer in words.")
        if any(" {coordinates}" not in wording or wording.count("{coordinates}") > 1 for wording in given):
            raise InputError(
                f"{what} must have {{coordinates}} once in a wording, behind a blank; change {given[0]!r}."
            )
        if self.finds and any("{visible}" in step.answer for step in self.first):
            raise InputError(f"{what} asks for places, so what is {{visible}} is not known yet; use {{names}}.")

    @property
    def finds(self) -> bool:
        """True where the answers are places; else they are words about a given place."""
        return self.answer == "{coordinates}"

    @property
    def speaks(self) -> bool:
        """True where some answers are words."""
        return bool(self.first) or not self.finds

    def conversation(
        self,
        category: Category,
        group: Sequence[int],
        describe: str | Sequence[str] = "detailed",
        *,
        noun: str | None = None,
        wordings: Sequence[int] = (),
        visible: Sequence[int] = (),
        special: Sequence[str] = (),
    ) -> list[Segment]:
        """Rounds about a group of keypoints, behind the image tokens.

        describe: one of DESCRIBE, or one for each keypoint of the group. noun: None takes the category's. wordings: the
        index of each question's; the first where none are given. visible: the keypoints in the picture. special:
        strings that the tokenizer treats as control tokens; users' text is stripped of their power, and of the form's
        own ending's, which a tokenizer may read as plain text.
        """
        words = _Words(self, category, noun, visible, special)
        ways = [describe] * len(group) if isinstance(describe, str) else describe
        chosen = wordings or [0] * len(group)
        segments: list[Segment] = []
        for step in self.first:
            segments += self._round([Text(words.fill(step.question))], [Text(words.fill(step.answer), True)])
        for i, way, wording in zip(group, ways, chosen, strict=True):
            question, answer = words.of(i, way, self.wordings[wording])
            segments += self._round(question, answer)
        opening = words.fill(self.opening)
        return [Text(opening + segments[0].text), *segments[1:]]

    def prompt(self, category: Category, keypoint: int, describe: str = "detailed", **options: Any) -> list[Segment]:
        """The conversation about one keypoint up to its answer, which starts with a blank.

        options: those of `conversation`.
        """
        segments = self.conversation(category, [keypoint], describe, **options)
        last = max(i for i, segment in enumerate(segments) if not segment.answer)
        return segments[: last + 1]

    def _round(self, question: list[Segment], answer: list[Segment]) -> list[Segment]:
        """A question, an answer and what ends it; the blank in front of coordinates is theirs."""
        start = [Text(f" {answer[0].text}", True)] if isinstance(answer[0], Text) else answer
        return [*question, *start, *([Text(self.ending, True)] if self.ending else [])]

    def _templates(self) -> list[tuple[str, Sequence[str]]]:
        single = ("before", "opening", "question", "reference", "without", "answer", "ending")
        return [
            *((field, (getattr(self, field),)) for field in single),
            ("wordings", self.wordings),
            ("first question", [step.question for step in self.first]),
            ("first answer", [step.answer for step in self.first]),
        ]

    @classmethod
    def from_dict(cls, data: Any, origin: str, name: str = "") -> "Instruction":
        """Read a form: texts by key, `wordings` a list of texts, `first` a list of {question, answer}; all strict.

        A form that `extends` another of the library takes from it what it does not say itself. name: where data has
        none. Raises InputError that names `origin` and the key.
        """
        if not isinstance(data, dict):
            raise InputError(f"{origin} must be a mapping of templates, but got {data!r}.")
        data = {"name": name, **data}
        if (base := data.pop("extends", None)) is not None:
            if base not in instruction_names():
                raise InputError(
                    f"{origin} extends {base!r}, which is no form; known are {', '.join(instruction_names())}."
                )
            data = {**vars(instruction(base)), **data}
        known = [f.name for f in fields(cls)]
        if unknown := [key for key in data if key not in known]:
            raise InputError(f"{origin} has the unknown key {unknown[0]!r}; known are extends, {', '.join(known)}.")
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
        return cls(**{**data, "wordings": tuple(wordings), "first": tuple(_round_of(item, origin) for item in first)})

    @classmethod
    def from_file(cls, path: str | Path) -> "Instruction":
        """Read a YAML file; the form is called as the file is."""
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"Cannot read the instruction form {path}: {str(error).splitlines()[0]}.") from error
        return cls.from_dict(data, str(path), Path(path).stem)


@cache
def instruction_names() -> tuple[str, ...]:
    """Names of the library's forms, sorted."""
    folder = resources.files(__name__)
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(name.removesuffix(".yaml") for name in names))


def instruction(form: str | Instruction) -> Instruction:
    """The form of that name, or in that YAML file; InputError lists the known ones."""
    form = settled(form)
    return _load(form) if isinstance(form, str) else form


def settled(form: str | Instruction) -> str | Instruction:
    """A form as a config keeps it: the library's by name, one of a file with all that it says."""
    if isinstance(form, Instruction):
        return form
    if isinstance(form, str) and form.lower().endswith((".yaml", ".yml")):
        return Instruction.from_file(form)
    if form not in instruction_names():
        known = ", ".join(instruction_names())
        raise InputError(f"There is no instruction form {form!r}; known are {known}, or give a YAML file.")
    return form


def check_describe(describe: Any) -> str:
    """The way of giving descriptions, if it is one of DESCRIBE."""
    if describe not in DESCRIBE or not isinstance(describe, str):
        raise InputError(f"Descriptions can be given {', '.join(DESCRIBE)}, but got {describe!r}.")
    return describe


@cache
def _load(name: str) -> Instruction:
    text = (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
    return Instruction.from_dict(yaml.safe_load(text), f"the instruction form {name!r}", name)


def _round_of(item: Any, origin: str) -> Round:
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
    where, slots = f"The {field} of the instruction form {form!r}", _SLOTS[field]
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"{where} is no template ({error}): {template!r}; write {{{{ for a brace.") from error
    for _, slot, spec, conversion in parts:
        if slot is not None and (slot not in slots or spec or conversion):
            valid = ", ".join(f"{{{name}}}" for name in slots) or "none"
            raise InputError(f"{where} has the unknown slot {{{slot}}}; valid are {valid}.")


# --- filling in ----------------------------------------------------------------------------------------------------


class _Words:
    """A category's words, made harmless, for the slots of a form."""

    def __init__(
        self, form: Instruction, category: Category, noun: str | None, visible: Sequence[int], special: Sequence[str]
    ) -> None:
        self.form, self.special = form, (*special, form.ending)
        self.category = category
        self.names = [self.neutral(keypoint.name) for keypoint in category.keypoints]
        self.shared = {
            "noun": self.neutral(category.noun if noun is None else noun),
            "names": ", ".join(self.names),
            "visible": ", ".join(self.names[i] for i in visible),
        }

    def neutral(self, text: str) -> str:
        return neutral(text, self.special)

    def fill(self, template: str) -> str:
        """A template that is about no keypoint."""
        return template.format(**self.shared)

    def of(self, i: int, describe: str, wording: str) -> tuple[list[Segment], list[Segment]]:
        """Question and answer about keypoint i."""
        words = {**self.shared, "name": self.names[i], "coordinates": _POINT}
        reference = self._reference(i, check_describe(describe), words)
        question = self.form.question.format(wording=wording.format(**words), reference=reference)
        answer: list[Segment] = [Point(i, True)]
        if not self.form.finds:
            answer = [Text(self.form.answer.format(**words, reference=reference), True)]
        if _POINT not in question:
            return [Text(question)], answer
        ahead, behind = question.split(f" {_POINT}")
        return [Text(ahead), Point(i), Text(behind)], answer

    def _reference(self, i: int, describe: str, words: dict[str, str]) -> str:
        form = self.form
        if describe in ("replaced", "vague") and "{reference}" not in form.question + form.answer:
            raise InputError(
                f"The instruction form {form.name!r} gives no descriptions, so none can be {describe}; "
                "use another form, or detailed or removed."
            )
        description = {
            "detailed": self.neutral(self.category.keypoints[i].description),
            "removed": "",
            "replaced": _NOTHING,
            "vague": self._vague(i),
        }[describe]
        if not description:
            return form.without.format(**words)
        upper = description[1:2].isupper()  # an abbreviation stays one
        reason = description if upper else description[0].lower() + description[1:]
        return form.reference.format(**words, description=description, reason=reason)

    def _vague(self, i: int) -> str:
        """A sentence that tells where the point stands in the list and not where it lies on the object."""
        place = f"comes after the {self.names[i - 1]}" if i else "comes first"
        return self.neutral(f"The {self.names[i]} is one of the keypoints of the {self.shared['noun']}; it {place}.")


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
