"""Task forms: the questions of a model that finds keypoints from text, from an example, or both, and that names points.

A form has one conversation form for each task (KptLLM++, Fig. 1 and Table 15), in one YAML file. Keys beside the tasks
are shared by all of them:

    identify   a point of the picture -> its name
    example    a point of another picture -> the same point here
    text       a name, and its description -> its point
    both       a name and a point of another picture -> its point

Two more are not in the paper, and a form need not have them. The user calls the given point by a name that may be that
of another keypoint, and the answer has the right one:

    misnamed          a point of the picture and a name for it -> its name
    misnamed_example  a point of another picture and a name for it -> the same point here

A given point is a prompt token between the image and the question, so no template contains its coordinates. A model
that identifies first answers all tasks that end in a point with the name, `between`, and then the point.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...category import Category
from ...configs.checks import near_names
from ...configs.strict import Config
from ...errors import InputError
from ..category_text import neutral
from ..conversation import Instruction, Segment, Text
from ..registry import FormLibrary

LIBRARY = FormLibrary("anykeypoint.instructions.tasks", "task form")
TASKS = ("identify", "example", "text", "both")
MISNAMED = ("misnamed", "misnamed_example")  # tasks whose question calls the point by a name that may be wrong
NAMING = ("identify", "misnamed")  # tasks that are answered with a name alone


@dataclass(frozen=True)
class TaskForm(Config):
    """One task form. Raises InputError where a task's templates do not suit it.

    name: its name.
    identify, example, text, both: the conversation form of each task.
    misnamed, misnamed_example: those of the tasks that give a name which may be wrong; None where a form has none.
    between: stands between a name and the point that follows it in one answer.
    """

    name: str
    identify: Instruction
    example: Instruction
    text: Instruction
    both: Instruction
    misnamed: Instruction | None = None
    misnamed_example: Instruction | None = None
    between: str = "\n"

    def __post_init__(self) -> None:
        what = f"The task form {self.name!r}"
        if "\n" not in self.between:
            raise InputError(f"{what} must have a line break in between, as no name has one, but got {self.between!r}.")
        forms = [self.of(task) for task in self.tasks]
        if len({form.before for form in forms}) > 1 or len({form.ending for form in forms}) > 1:
            raise InputError(f"{what} must have one before and one ending for all tasks; write them beside the tasks.")
        if any(form.first for form in forms):
            raise InputError(f"{what} can have no rounds in front of the question; leave first out.")
        if not self.identify.ending:
            raise InputError(
                f"{what} must have an ending, by which a name is known to be whole; leave it out for </s>."
            )
        for task, form in zip(self.tasks, forms, strict=True):
            if task in NAMING and form.answer != "{name}":
                raise InputError(f"{what} must answer {task} with {{name}} alone, but got {form.answer!r}.")
            if task not in NAMING and not form.answers_points:
                raise InputError(f"{what} must answer {task} with {{coordinates}}, but got {form.answer!r}.")
            self._check_slots(what, task, form)

    def _check_slots(self, what: str, task: str, form: Instruction) -> None:
        """InputError where a question of a task tells more than it may, or a misnamed one tells no name."""
        if task not in MISNAMED and any("given" in _slots(wording) for wording in form.wordings):
            raise InputError(f"{what} has {{given}} in {task}, which is of {' and '.join(MISNAMED)}; write {{name}}.")
        if task in MISNAMED and not all("given" in _slots(wording) for wording in form.wordings):
            raise InputError(f"{what} must have {{given}}, the name that the user calls it by, in wordings of {task}.")
        if task in ("text", "both"):
            return
        may = {"wording"} | ({"given", "noun"} if task in MISNAMED else set())
        for template in (form.opening, form.question, *form.wordings):
            if slots := _slots(template) - may:
                why = "without its name" if task in MISNAMED else "without words"
                raise InputError(f"{what} asks {task} {why}, but it tells {{{min(slots)}}}; leave it out.")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the form has."""
        return (*TASKS, *(task for task in MISNAMED if getattr(self, task) is not None))

    def of(self, task: str) -> Instruction:
        """The conversation form of one of the form's tasks."""
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
        """One question and its answer, to follow the image tokens and the prompt token.

        task: one of the form's tasks.
        category, keypoint, describe: as in `Instruction.prompt`.
        named: a point's answer starts with the keypoint's name, which the model is then to write too.
        more: further arguments of `Instruction.conversation`.
        """
        segments = self.of(task).conversation(category, [keypoint], describe, **more)
        if not named or task in NAMING:
            return segments
        name = self.named(category.keypoints[keypoint].name, more.get("special", ()))
        at = next(i for i, segment in enumerate(segments) if segment.answer)
        return [*segments[:at], Text(name, True), Text(self.between, True), *segments[at:]]

    def named(self, name: str, special: Sequence[str] = ()) -> str:
        """A name as an answer contains it: after a blank, and harmless (see `neutral`)."""
        return f" {neutral(name, (*special, self.identify.ending))}"

    @classmethod
    def from_dict(cls, data: Any, origin: str = "The model's task form", name: str = "") -> "TaskForm":
        """Read a form: a mapping for each task, and beside the tasks what they share.

        origin: where the data come from, the subject of messages.
        name: the form's name where the data have none.

        Raises InputError, which names `origin` and the key, for unknown and missing keys and wrong types.
        """
        if not isinstance(data, dict):
            raise InputError(f"{origin} must be a mapping of tasks, but got {data!r}.")
        data = {"name": name, **data}
        own = {key: data.pop(key) for key in ("name", "between", *TASKS, *MISNAMED) if key in data}
        if missing := [task for task in TASKS if task not in own]:
            raise InputError(f"{origin} lacks the task {missing[0]!r}.")
        if unknown := [key for key in data if key not in {f.name for f in fields(Instruction)}]:
            known = [f.name for f in fields(cls)] + [f.name for f in fields(Instruction)][1:]
            near = near_names(unknown[0], known)
            raise InputError(f"{origin} has the unknown key {unknown[0]!r}{near}; known are {', '.join(known)}.")
        for key in ("name", "between"):
            if not isinstance(own.get(key, ""), str):
                raise InputError(f"{origin}: {key} must be text, but got {own[key]!r}.")
        for task in (*TASKS, *(task for task in MISNAMED if own.get(task) is not None)):
            if not isinstance(own[task], dict):
                raise InputError(f"{origin}: {task} must be a mapping of templates, but got {own[task]!r}.")
            own[task] = Instruction.from_dict({**data, **own[task]}, f"{origin}, {task}", task)
        return cls(**own)

    @classmethod
    def from_file(cls, path: str | Path) -> "TaskForm":
        """The form of a YAML file, named after the file."""
        return LIBRARY.read_file(cls, path)


def _slots(template: str) -> set[str]:
    """The slots of a template."""
    return {slot for _, slot, _, _ in string.Formatter().parse(template) if slot is not None}


def task_form_names() -> tuple[str, ...]:
    """Names of the library's task forms, sorted."""
    return LIBRARY.names()


def task_form(form: str | TaskForm) -> TaskForm:
    """A task form, from its name in the library or the path of its YAML file."""
    return LIBRARY.get(TaskForm, form)


def task_form_setting(form: str | TaskForm) -> str | TaskForm:
    """A task form as a config keeps it: the library's by name, that of a file with its content."""
    return LIBRARY.setting(TaskForm, form)
