"""The pictures of a project are answered in the background: those that nobody has finished, anew when it helps.

What an answer depends on is written with it (`StoredAnswer.asked`): the model, the category, the box, and the examples.
When one of these changes, the answers of all pictures that are not done are out of date, and are made again: the
picture that is being looked at first, then pictures without an answer, then those that the model was least sure of. A
second look, which takes longer, comes when all have a first answer (`job.Answering`).
"""

import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..example import Example
from ..inference.own_thread import in_own_thread
from ..io import NotWritten
from ..pose import Pose, unique_names
from .doubt import doubt
from .job import Answering
from .project import Project
from .records import HIDDEN, VISIBLE, FoundPoint, Label, StoredAnswer
from .turns import FINE, Turns

_log = logging.getLogger(__name__)

UNNAMED = re.compile(r"point \d+", re.IGNORECASE)  # what the page calls a point until a person gives it a name
PAUSE = 0.5  # seconds after which a thread that has nothing to do looks again


@dataclass(frozen=True)
class BackgroundState:
    """How far the answers of a project are.

    state: "waiting" for what `reason` says, "working", "refining" when only second looks are left, or "idle".
    reason: a sentence; "" where nothing is in the way.
    answered, total: of the pictures that are not done, how many have an answer that is up to date, and their number.
    current: id of the picture that is being answered.
    failed: id of a picture -> the sentence that says why it could not be answered.
    """

    state: str
    reason: str
    answered: int
    total: int
    current: int | None
    failed: dict[int, str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "failed": {str(number): text for number, text in self.failed.items()}}


class BackgroundAnswers:
    """A thread that answers the pictures of a project.

    project: the project.
    model: gives the model and a text that is another for other weights, or None where it is not loaded.
    """

    def __init__(self, project: Project, model: Callable[[], tuple[Any, str] | None]) -> None:
        self.project, self.model = project, model
        self.focus: int | None = None  # the picture that is being looked at
        self._changed, self._stopped = threading.Condition(), False
        self._asking, self._current = 0, None
        self._turns, self._looking = Turns(project), threading.Lock()
        self._asked_of: tuple[Any, ...] | None = None  # what `_shared` is of, with the project's `asked_revision`
        self._shared = ""
        self._thread: threading.Thread | None = None
        self._job_lock = threading.Lock()
        self._job: Answering | None = None
        self._job_key = ""
        self._in_job: dict[tuple[str, int], Any] = {}  # what of a picture or an example the job has taken in
        self._unread: dict[int, Hashable] = {}  # examples that could not be taken in -> the state of their files then

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread = threading.Thread(target=self._run, name="anykeypoint-project", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End when the picture that is being answered is done."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(30)

    def wake(self, focus: int | None = None) -> None:
        """Look again what is out of date. focus: the picture that is being looked at; None leaves it."""
        with self._changed:
            self.focus = self.focus if focus is None else focus
            self._changed.notify_all()

    @contextmanager
    def stepping_back(self) -> Iterator[None]:
        """A block in which a person waits for the model: no further picture is begun meanwhile."""
        with self._changed:
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()

    def state(self) -> BackgroundState:
        """How far it is."""
        reason = self._reason()
        self.look()
        counts = self._turns.counts
        word = "waiting" if reason else "working" if counts.left else "refining" if counts.rough else "idle"
        return BackgroundState(word, reason, counts.fresh, counts.total, self._current, self._turns.failed)

    def failure(self, number: int) -> str | None:
        """The sentence that says why a picture could not be answered; None where that was not so."""
        return self._turns.failure(number)

    def look(self) -> None:
        """Take in what changed in the project, so that `failure` and the project's `changes` are up to date."""
        with self._looking:
            self._turns.update(self._asked())

    # --- what to do --------------------------------------------------------------------------------------------------

    def _reason(self) -> str:
        """Why nothing can be answered; "" where something can."""
        loaded, category = self.model(), self.project.category
        if loaded is None:
            return "The model is being loaded."
        if category is None:
            return "Say which points to look for, or click them on a picture."
        if not self.words(loaded[0], category) and not takes_examples(loaded[0]):
            return "This model finds points by their names; give each point a name that says what it is."
        if not self.words(loaded[0], category) and not self.project.examples():
            return "Finish one picture and make it an example: these points cannot be looked for by their names."
        return ""

    @staticmethod
    def words(model: Any, category: Category) -> bool:
        """Whether the model is asked with the names: it reads words, and every point has a name that says something."""
        reads = {"text", "both"} & set(getattr(model, "prompts", ("text",)))
        return bool(reads) and not any(UNNAMED.fullmatch(name) for name in category.names)

    def _asked(self) -> str:
        """The text of what all answers depend on; computed anew where a part of it changed."""
        loaded = self.model()
        name, revision = "" if loaded is None else loaded[1], self.project.asked_revision
        unread = sorted(self._unread)
        if self._asked_of != (name, revision, unread):
            category = self.project.category
            examples = sorted((number, label.revision) for number, label in self.project.examples().items())
            parts = [
                None if loaded is None else loaded[1],
                None if category is None else category.to_dict(),
                examples,
                *([unread] if unread else []),
            ]
            self._shared = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
            self._asked_of = name, revision, unread
        return self._shared

    def _next(self) -> tuple[int, str] | None:
        """The picture to answer next, and what its answer depends on; with FINE where a second look is taken."""
        if self._reason():
            return None
        for number, state in list(self._unread.items()):  # an example whose file was put back
            if self._turns.file(number) != state:
                self._unread.pop(number, None)
                self._in_job.pop(("example", number), None)
        self.look()
        return self._turns.next(self.focus)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and (self._asking or (found := self._next()) is None):
                    self._changed.wait(PAUSE)
                if self._stopped:
                    return
            number, key = found
            self._current = number
            file = self._turns.file(number)
            try:
                self.project.save_answer(number, in_own_thread(partial(self._answer, number, key)))
            except Exception as error:  # one picture that cannot be answered costs no other one
                if not isinstance(error, InputError):
                    _log.exception("Picture %d could not be answered", number)
                sentence = str(error) if isinstance(error, InputError) else f"The model failed: {type(error).__name__}."
                passing = isinstance(error, NotWritten) or not isinstance(error, InputError)
                self._turns.fail(number, key, sentence, file, passing)
            finally:
                self._current = None

    # --- one picture -------------------------------------------------------------------------------------------------

    def _answer(self, number: int, key: str) -> StoredAnswer:
        """The answer of a picture. key: what it depends on; with FINE it has a second look."""
        with self._job_lock:
            job, _ = self._job_for(number)
            examples = job.examples_of(str(number))
            second = bool(examples) and bool(getattr(getattr(job.model, "config", None), "fine", False))
            ((_, pose),) = job.answer([str(number)], fine=second and key.endswith(FINE))
        if isinstance(pose, InputError):
            raise pose
        return stored(pose, key if second or key.endswith(FINE) else key + FINE, self._said(examples))

    def prompt(self, number: int) -> dict[str, Any]:
        """The arguments `category`, `example` and `words` with which a picture is asked, all of one moment."""
        with self._job_lock:
            job, labels = in_own_thread(partial(self._job_for, number))
            shown = []
            for one in [int(name) for name in job.examples_of(str(number))]:
                points = _shown_points(labels[one], labels, job.category)
                path = str(self.project.path(self.project.picture(one)))
                shown.append(Example(path, points, labels[one].box, job.category))
            return {"category": job.category, "example": shown, "words": job.words}

    def _said(self, examples: list[str]) -> str:
        """How a picture was asked, for people."""
        names = ", ".join(self.project.picture(int(one)).name for one in examples)
        if not examples:
            return "words"
        assert self._job is not None
        return f"{'words and ' if self._job.words else ''}example{'s' if len(examples) > 1 else ''} {names}"

    def _job_for(self, number: int) -> tuple[Answering, dict[int, Label]]:
        """The job with the examples as they are now, and with a picture; and the labels of these examples."""
        loaded, category, project = self.model(), self.project.category, self.project
        if loaded is None or category is None:
            raise InputError("There is nothing to ask yet; wait for the model, and say which points to look for.")
        key = json.dumps([loaded[1], category.to_dict()], sort_keys=True)
        if self._job is None or key != self._job_key:
            takes_words = {"text", "both"} & set(getattr(loaded[0], "prompts", ("text",)))
            words = self.words(loaded[0], category) if takes_words else None
            self._job, self._job_key = Answering(loaded[0], category, words=words), key
            self._in_job, self._unread = {}, {}
        job, labels = self._job, project.examples()
        for one in [int(name) for name in job.examples if int(name) not in labels]:
            job.remove_example(str(one))
            self._in_job.pop(("example", one), None)
        for one in set(self._unread) - set(labels):
            del self._unread[one]
        for one, label in labels.items():
            points = _shown_points(label, labels, category)
            state = (points.tobytes(), label.box)
            if self._in_job.get(("example", one)) == state:
                continue
            self._in_job["example", one] = state
            self._unread.pop(one, None)
            if str(one) in job.examples:
                job.remove_example(str(one))
            if np.isfinite(points).any():
                file = self._turns.file(one)
                try:
                    job.add_example(str(one), str(project.check_file(project.picture(one))), points, label.box)
                except InputError as error:  # the others still answer
                    self._unread[one] = file
                    sentence = f"An example is not used: {error}"
                    project.notes += [] if sentence in project.notes else [sentence]
        box = project.label(number).box
        if self._in_job.get(("picture", number), "none") != box:
            job.add_picture(str(number), str(project.check_file(project.picture(number))), box)
            self._in_job["picture", number] = box
        return job, labels


def takes_examples(model: Any) -> bool:
    """Whether a model can be shown examples."""
    return bool({"example", "both"} & set(getattr(model, "prompts", ())))


def _shown_points(label: Label, labels: dict[int, Label], category: Category) -> np.ndarray:
    """The points [K, 2] that an example shows; one that is visible in no example is shown where it is hidden."""
    points = np.full((len(category), 2), np.nan)
    for k, name in enumerate(unique_names(category.names)):
        mark = label.points.get(name)
        if mark is None or mark.place is None:
            continue
        visible_elsewhere = any(_is_shown(other, name) for other in labels.values())
        if mark.visibility == VISIBLE or (mark.visibility == HIDDEN and not visible_elsewhere):
            points[k] = mark.place
    return points


def _is_shown(label: Label, name: str) -> bool:
    mark = label.points.get(name)
    return mark is not None and mark.visibility == VISIBLE


def stored(pose: Pose, asked: str, by: str) -> StoredAnswer:
    """A pose as a project keeps it."""
    points = {}
    for k, name in enumerate(pose.keys):
        if not pose.placed[k]:
            continue
        confidence, likely = (
            None if np.isnan(value) else float(value) for value in (pose.confidence[k], pose.presence[k])
        )
        points[name] = FoundPoint((round(float(pose.xy[k, 0]), 3), round(float(pose.xy[k, 1]), 3)), confidence, likely)
    return StoredAnswer(points, doubt(pose), asked, by)
