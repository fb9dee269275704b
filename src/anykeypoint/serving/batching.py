"""A bounded queue of questions, and the one thread that answers them in batches of the same model."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from .refusals import Refusal
from .server_limits import ServerLimits
from .server_metrics import ServerMetrics

STOPPED = "The server is shutting down and takes no more requests; try again later."


@dataclass(frozen=True, eq=False)
class _Waiting:
    model: str
    question: Any
    ends: float
    came: float = field(default_factory=time.monotonic)
    answer: Future = field(default_factory=Future)


class BatchQueue:
    """Questions for several models, answered in the order in which they came but for those that share a batch.

    answer: called in the queue's thread with a model's name and questions; gives an answer or an error for each.
    """

    def __init__(
        self, answer: Callable[[str, Sequence[Any]], Sequence[Any]], limits: ServerLimits, metrics: ServerMetrics
    ) -> None:
        self.answer, self.limits, self.metrics = answer, limits, metrics
        self._waiting: deque[_Waiting] = deque()
        self._computing = 0
        self._seconds = 0.1  # of one object, a mean of the last ones
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="anykeypoint-answers", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def submit(self, model: str, questions: Sequence[Any]) -> list[Future]:
        """Put all questions in the queue or none.

        Returns a future for each. Its error is a Refusal (503) where the question waited too long or the server stops,
        else what `answer` gives. A future that is cancelled before its turn is not computed.
        Raises Refusal (429) where the queue has no room for all, and (503) where the server stops.
        """
        ends = time.monotonic() + self.limits.queue_seconds
        with self._changed:
            if self._stopped:
                raise Refusal(503, STOPPED, Retry_After="10")
            if len(self._waiting) + self._computing + len(questions) > self.limits.queue:
                raise Refusal(
                    429,
                    f"The queue of {self.limits.queue} objects has no room for {len(questions)} more; try again later.",
                    Retry_After=str(self.retry_after()),
                )
            entries = [_Waiting(model, question, ends) for question in questions]
            self._waiting.extend(entries)
            self._count()
            self._changed.notify()
        return [entry.answer for entry in entries]

    def retry_after(self) -> int:
        """Seconds until there may be room, from the time that an object takes, 1 to 60."""
        return min(60, max(1, round(self._seconds * (len(self._waiting) + self._computing) / 2)))

    def stop(self) -> None:
        """Take no question any more, refuse those that wait, and end the thread behind the batch under way."""
        with self._changed:
            self._stopped = True
            left = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._count()
            self._changed.notify_all()
        for entry in left:
            self._refuse(entry, "stopped", STOPPED)
        if self._thread.is_alive():
            self._thread.join(timeout=self.limits.drain_seconds)

    def _run(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Answer one batch; False once the queue was stopped. Nothing of a batch outlives it: pictures are large."""
        batch = self._next_batch()
        if not batch:
            return False
        began = time.monotonic()
        for entry in batch:
            self.metrics.stages.labels("wait").observe(began - entry.came)
        self.metrics.batch.observe(len(batch))
        try:
            answers = list(self.answer(batch[0].model, [entry.question for entry in batch]))
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(batch)} questions had {len(answers)} answers")
        except BaseException as error:  # nobody may wait for ever
            answers = [error] * len(batch)
        taken = time.monotonic() - began
        self.metrics.stages.labels("model").observe(taken)
        with self._changed:
            self._seconds += 0.2 * (taken / len(batch) - self._seconds)
            self._computing = 0
            self._count()
        for entry, answer in zip(batch, answers, strict=True):
            if isinstance(answer, BaseException):
                entry.answer.set_exception(answer)
            else:
                entry.answer.set_result(answer)
        return True

    def _next_batch(self) -> list[_Waiting]:
        """The next questions of one model whose clients still wait; empty where the queue was stopped."""
        with self._changed:
            while True:
                while not self._waiting and not self._stopped:
                    self._changed.wait()
                if not self._waiting:
                    return []
                gathered = time.monotonic() + self.limits.gather_seconds
                while len(self._waiting) < self.limits.batch and (left := gathered - time.monotonic()) > 0:
                    self._changed.wait(left)
                if batch := self._take():
                    return batch

    def _take(self) -> list[_Waiting]:
        model: str | None = None
        batch: list[_Waiting] = []
        others: list[_Waiting] = []
        while self._waiting and len(batch) < self.limits.batch:
            entry = self._waiting.popleft()
            if model is not None and entry.model != model:
                others.append(entry)
            elif entry.ends < time.monotonic():
                self._refuse(entry, "expired", "The request waited too long for the model; try again later.")
            elif not entry.answer.set_running_or_notify_cancel():
                self.metrics.dropped.labels("disconnected").inc()
            else:
                model = entry.model
                batch.append(entry)
        self._waiting.extendleft(reversed(others))
        self._computing = len(batch)
        self._count()
        return batch

    def _refuse(self, entry: _Waiting, reason: str, sentence: str) -> None:
        self.metrics.dropped.labels(reason).inc()
        if entry.answer.set_running_or_notify_cancel():
            entry.answer.set_exception(Refusal(503, sentence, Retry_After=str(self.retry_after())))

    def _count(self) -> None:
        self.metrics.queue.set(len(self._waiting) + self._computing)
