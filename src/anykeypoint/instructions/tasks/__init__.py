"""Task forms: the questions of a model that is asked in words, by a shown place, or both, and that can name a place.

A form holds one conversation form for each task (KptLLM++, Fig. 1 and Table 15), in a YAML file of this folder or one's
own; keys beside the tasks are shared by all of them:

    identify   a shown place -> its name
    example    a shown place of another picture -> where it is here
    text       a name, and its description -> where it is
    both       a name and a shown place -> where it is

The place is a token of its own between the image and the question, so no template speaks of its coordinates. With
identify-then-detect the answer to the last three is the name, `between`, and then the point.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ...category import Category
from ...errors import InputError
from .. import Instruction, Segment, Text, neutral

TASKS = ("identify", "example", "text", "both")


@dataclass(frozen=True)
class TaskForm:
    """One form. Raises InputError where a task that is asked without words would be told some."""

    name: str
    identify: Instruction
    example: Instruction
    text: Instruction
    both: Instruction
    between: str = "\n"  # behind a name that a point follows

    def __post_init__(self) -> None:
        what = f"The task form {self.name!r}"
        if "\n" not in self.between:
            raise InputError(f"{what} must have a line break in between, as no name has one, but got {self.between!r}.")
        forms = [self.of(task) for task in TASKS]
        if len({form.before for form in forms}) > 1 or len({form.ending for form in forms}) > 1:
            raise InputError(f"{what} must have one before and one ending for all tasks; write them beside the tasks.")
        if any(form.first for form in forms):
            raise InputError(f"{what} can have no rounds in front of the question; leave first out.")
        if not self.identify.ending:
            raise InputError(
                f"{what} must have an ending, by which a name is known to be whole; leave it out for </s>."
            )
        if self.identify.answer != "{name}":
            raise InputError(f"{what} must answer identify with {{name}} alone, but got {self.identify.answer!r}.")
        for task, form in zip(TASKS[1:], forms[1:], strict=True):
            if not form.finds:
                raise InputError(f"{what} must answer {task} with {{coordinates}}, but got {form.answer!r}.")
        for task in ("identify", "example"):
            form = self.of(task)
            for template in (form.opening, form.question, *form.wordings):
                if told := {slot for _, slot, _, _ in string.Formatter().parse(template)} - {None, "wording"}:
                    raise InputError(f"{what} asks {task} without words, but it tells {{{min(told)}}}; leave it out.")

    def of(self, task: str) -> Instruction:
        """The conversation form of one of TASKS."""
        return getattr(self, task)

    def conversation(
        self,
        task: str,
        category: Category,
        keypoint: int,
        describe: str = "detailed",
        *,
        named: bool = False,
        **more: Any,
    ) -> list[Segment]:
        """One question and its answer, behind the image tokens and the prompt token, as `Instruction.conversation`.

        named: a point's answer starts with the keypoint's name, which is then to be answered too. more: its options.
        """
        segments = self.of(task).conversation(category, [keypoint], describe, **more)
        if not named or task == "identify":
            return segments
        name = self.named(category.keypoints[keypoint].name, more.get("special", ()))
        at = next(i for i, segment in enumerate(segments) if segment.answer)
        return [*segments[:at], Text(name, True), Text(self.between, True), *segments[at:]]

    def named(self, name: str, special: Sequence[str] = ()) -> str:
        """A name as an answer writes it, made harmless."""
        return f" {neutral(name, (*special, self.identify.ending))}"

    @classmethod
    def from_dict(cls, data: Any, origin: str, name: str = "") -> "TaskForm":
        """Read a form: a mapping for each task, beside it what they share; strict. InputError names `origin`."""
        if not isinstance(data, dict):
            raise InputError(f"{origin} must be a mapping of tasks, but got {data!r}.")
        data = {"name": name, **data}
        own = {key: data.pop(key) for key in ("name", "between", *TASKS) if key in data}
        if missing := [task for task in TASKS if task not in own]:
            raise InputError(f"{origin} lacks the task {missing[0]!r}.")
        if unknown := [key for key in data if key not in {f.name for f in fields(Instruction)}]:
            known = ", ".join([f.name for f in fields(cls)] + [f.name for f in fields(Instruction)][1:])
            raise InputError(f"{origin} has the unknown key {unknown[0]!r}; known are {known}.")
        for key in ("name", "between"):
            if not isinstance(own.get(key, ""), str):
                raise InputError(f"{origin}: {key} must be text, but got {own[key]!r}.")
        for task in TASKS:
            if not isinstance(own[task], dict):
                raise InputError(f"{origin}: {task} must be a mapping of templates, but got {own[task]!r}.")
            own[task] = Instruction.from_dict({**data, **own[task]}, f"{origin}, {task}", task)
        return cls(**own)

    @classmethod
    def from_file(cls, path: str | Path) -> "TaskForm":
        """Read a YAML file; the form is called as the file is."""
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"Cannot read the task form {path}: {str(error).splitlines()[0]}.") from error
        return cls.from_dict(data, str(path), Path(path).stem)


@cache
def task_form_names() -> tuple[str, ...]:
    """Names of the library's task forms, sorted."""
    names = (entry.name for entry in resources.files(__name__).iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(name.removesuffix(".yaml") for name in names))


def task_form(form: str | TaskForm) -> TaskForm:
    """The form of that name, or in that YAML file; InputError lists the known ones."""
    form = settled_tasks(form)
    return _load(form) if isinstance(form, str) else form


def settled_tasks(form: str | TaskForm) -> str | TaskForm:
    """A form as a config keeps it: the library's by name, one of a file with all that it says."""
    if isinstance(form, TaskForm):
        return form
    if isinstance(form, str) and form.lower().endswith((".yaml", ".yml")):
        return TaskForm.from_file(form)
    if form not in task_form_names():
        known = ", ".join(task_form_names())
        raise InputError(f"There is no task form {form!r}; known are {known}, or give a YAML file.")
    return form


@cache
def _load(name: str) -> TaskForm:
    text = (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
    return TaskForm.from_dict(yaml.safe_load(text), f"the task form {name!r}", name)
