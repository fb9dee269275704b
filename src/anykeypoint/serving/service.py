"""The models of a server: loaded once, tried once, and asked through one queue, with a cache of answers."""

import asyncio
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError, first_line
from ..example import Example
from ..geometry import Box
from ..images import ImageSource, read_picture
from ..models.bounded_cache import BoundedCache
from ..pose import Pose
from .answering import Answer, Question, answer_batch
from .batching import BatchQueue
from .refusals import Refusal
from .server_limits import ServerLimits
from .server_metrics import ServerMetrics
from .uploads import content_key

_log = logging.getLogger(__name__)

SAME = 1e-3  # pixels by which an answer may depend on its batch


@dataclass(frozen=True)
class Progress:
    """How far a service is.

    state: "loading", "ready" or "failed".
    step: what goes on, or why it failed, in words.
    model: the model that it goes on with.
    loaded, models: numbers of models.
    seconds: since the service was started, until it was ready.
    """

    state: str
    step: str
    model: str
    loaded: int
    models: int
    seconds: float


class Service:
    """Models by name; the first is the one that answers where a request names none.

    loaders: name -> a function that loads the model, called once, in a thread of the service.
    limits, metrics: of the server.
    """

    def __init__(
        self,
        loaders: Mapping[str, Callable[[], Any]],
        limits: ServerLimits | None = None,
        metrics: ServerMetrics | None = None,
    ) -> None:
        if not loaders:
            raise InputError("A server needs a model; name one or more.")
        self.limits = ServerLimits() if limits is None else limits
        self.metrics = ServerMetrics() if metrics is None else metrics
        self.models: dict[str, Any] = {}
        self.hashes: dict[str, str] = {}
        self._loaders = dict(loaders)
        self._queue = BatchQueue(self._answers, self.limits, self.metrics)
        self._kept: BoundedCache[bytes] = BoundedCache(
            self.limits.cache_bytes, changed=self.metrics.kept.labels("answers").set
        )
        self._views: BoundedCache[Any] = BoundedCache(
            self.limits.view_bytes, self.limits.keep_seconds, self.metrics.kept.labels("features").set
        )
        self._began = time.monotonic()
        self._taken: float | None = None  # seconds until all was ready, or failed
        self._state = ("loading", "starting", self.default)
        self._thread = threading.Thread(target=self._load, name="anykeypoint-loading", daemon=True)

    @property
    def default(self) -> str:
        """The name of the model that answers where a request names none."""
        return next(iter(self._loaders))

    @property
    def ready(self) -> bool:
        """Whether all models are loaded and have answered as they should."""
        return self._state[0] == "ready"

    @property
    def progress(self) -> Progress:
        """How far the service is."""
        taken = time.monotonic() - self._began if self._taken is None else self._taken
        return Progress(*self._state, len(self.models), len(self._loaders), round(taken, 1))

    @property
    def loading(self) -> bool:
        """Whether models are being loaded."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to load the models; returns at once."""
        self._began = time.monotonic()
        self._thread.start()
        self._queue.start()

    def stop(self) -> None:
        """End the queue; questions that wait are refused (503)."""
        self._queue.stop()

    def wait(self, seconds: float) -> bool:
        """Wait until the models are loaded, or could not be; whether they are."""
        self._thread.join(seconds)
        return self.ready

    def model_name(self, name: str | None) -> str:
        """The name of a model that is loaded; Refusal for one that is not there (422), or not yet (503)."""
        if name is not None and name not in self._loaders:
            raise Refusal(422, f"There is no model {name[:80]!r} here; there is {', '.join(self._loaders)}.", "model")
        if not self.ready:
            raise Refusal(503, f"The server is not ready: {self.progress.step}.", Retry_After="2")
        return self.default if name is None else name

    async def ask(self, model: str, questions: Sequence[Question], write: Callable[[Answer], Any]) -> list[bytes]:
        """The answers of a model as JSON, in order, from the cache where they are there.

        write: gives what JSON can hold of an answer.
        Raises Refusal as `BatchQueue.submit` does, and the first error of an answer. Where the caller is cancelled,
        what still waits is not computed.
        """
        keys = [(self.hashes[model], question.key) for question in questions]
        found = [self._kept.find(key) for key in keys]
        missing = [place for place, answer in enumerate(found) if answer is None]
        self.metrics.cache.labels("hit").inc(len(questions) - len(missing))
        self.metrics.cache.labels("miss").inc(len(missing))
        futures = self._queue.submit(model, [questions[place] for place in missing]) if missing else []
        try:
            answers = await asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        for place, answer in zip(missing, answers, strict=True):
            text = await asyncio.to_thread(self._text, answer, write)
            self._kept.put(keys[place], text, len(text))
            found[place] = text
        return [text for text in found if text is not None]

    def submit(self, model: str, questions: Sequence[Question]) -> list[Future]:
        """`BatchQueue.submit`, for callers that are no coroutine and want the answers themselves."""
        return self._queue.submit(model, questions)

    def _text(self, answer: Answer, write: Callable[[Answer], Any]) -> bytes:
        with self.metrics.stage("write"):
            return json.dumps(write(answer), allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()

    def _answers(self, model: str, questions: Sequence[Question]) -> Sequence[Any]:
        loaded = self.models[model]
        views = partial(self._view, model) if hasattr(loaded, "encode_pixels") else None  # a matcher
        return answer_batch(loaded, questions, views)

    def view(self, model: str, image: ImageSource, pixels: bytes, box: Box | None) -> Any:
        """A matcher's view of an object; None for a model that is none.

        pixels: a key that is equal for equal pixels, by which the view is kept for questions of that key; b"" keeps
            nothing.
        """
        loaded = self.models[model]
        if not hasattr(loaded, "encode_pixels"):
            return None
        if not pixels:
            return loaded.encode(image, box)
        key, picture = (self.hashes[model], pixels, box), read_picture(image)
        if (view := self._views.find(key)) is None:
            view = loaded.encode(picture, box)
            self._views.put(key, view, view.features.nbytes + 3 * picture.pixels.width * picture.pixels.height)
        return view

    def _view(self, model: str, question: Question) -> Any:
        """A matcher's view of a kept picture, whose features are computed once."""
        return self.view(model, question.picture, question.pixels, question.box)

    # --- loading -----------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        for name, loader in self._loaders.items():
            try:
                self._say("loading", f"loading {name}", name)
                model = loader()
                self._say("loading", f"trying {name}", name)
                self.hashes[name] = weights_hash(model)
                try_out(model)
                self.models[name] = model
            except Exception as error:  # the server goes on and says it
                sentence = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
                _log.error("Loading %s failed: %s", name, sentence, exc_info=not isinstance(error, InputError))
                self._say("failed", f"{name} could not be loaded: {first_line(error)}", name)
                return
        self._say("ready", "ready", self.default)
        _log.info("%s: ready after %.0f s", ", ".join(self.models), self.progress.seconds)

    def _say(self, state: str, step: str, model: str) -> None:
        if state != "loading":
            self._taken = time.monotonic() - self._began
        self._state = (state, step, model)


def weights_hash(model: Any) -> str:
    """16 hexadecimal digits that are equal for equal weights and configs."""
    digest = hashlib.sha256(repr(getattr(model, "config", "")).encode())
    tensors = sorted(getattr(model, "state_dict", dict)().items())
    if tensors:
        import torch  # not before the server is there: it takes seconds

    for name, tensor in tensors:
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def own_category(model: Any) -> Category | None:
    """The category of an adapted model, which finds its points and no others; None for any other model."""
    return getattr(getattr(model, "config", None), "category", None)


def try_out(model: Any) -> None:
    """Ask a model twice about a made-up picture; InputError unless it gives the same answer twice.

    Raises whatever error the model raises.
    """
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = read_picture(np.kron(noise, np.ones((8, 8, 1), dtype=np.uint8)))
    category, key = own_category(model) or Category.from_text("left corner; right corner"), content_key(picture)
    prompts = getattr(model, "prompts", ("text",))
    if not {"text", "example", "both"} & set(prompts):
        return  # it names points and finds none
    marks = np.linspace(10, 50, 2 * len(category)).reshape(-1, 2)
    shown = () if "text" in prompts else (Example(picture, marks, category=category),)
    question = Question(picture, key, category, examples=shown, example_keys=(key,) * len(shown))
    answers = answer_batch(model, [question, question])
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    first, second = (answer.xy for answer in answers if isinstance(answer, Pose))
    if not np.allclose(first, second, rtol=0, atol=SAME, equal_nan=True):
        raise InputError("The model gives two answers to one question, so that it cannot be served.")
