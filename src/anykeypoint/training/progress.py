"""What a training run reports: a line per step in log.jsonl, TensorBoard curves, and progress on stderr.

On a terminal the progress is a bar, which is redrawn several times a second. Elsewhere (a file, a pipe, a notebook's
log) it is a plain line every `LINE_EVERY` seconds, after the first step of the run and after the last.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..io import write_bytes

LINE_EVERY = 30.0  # seconds between two lines of progress where stderr is no terminal


class TrainingLog:
    """A context manager around the steps of a run. In processes other than the main one it does nothing.

    When a run is resumed, its log and curves continue behind the step of the checkpoint: later lines are dropped.
    """

    def __init__(
        self,
        out: Path,
        steps: int,
        start: int,
        main: bool,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        out: folder of the run, which exists.
        steps: number of steps of the whole run.
        start: number of steps that are done already.
        main: whether this is the main process.
        quiet: no progress on stderr; the log and the curves are written all the same.
        clock: the time in seconds from any fixed point.
        """
        self.out, self.steps, self.start, self.main, self.clock = out, steps, start, main, clock
        console = Console(stderr=True)
        shown = main and not quiet
        self._bar = _bar(console) if shown and console.is_terminal else None
        self._plain = shown and not console.is_terminal

    def __enter__(self) -> "TrainingLog":
        if not self.main:
            return self
        path = self.out / "log.jsonl"
        _drop_later(path, self.start)
        self._log = path.open("a")
        self._curves = self._open_curves()
        self._began = self._last_step = self.clock()
        self._last_line: float | None = None
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self.steps, completed=self.start, values="")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self.main:
            return
        if self._bar is not None:
            self._bar.stop()
        self._log.close()
        if self._curves is not None:
            self._curves.close()

    def step(self, number: int, values: dict[str, float]) -> None:
        """Record a step.

        number: number of the step, from 1.
        values: of its log line; "loss", "lr" and "crops" must be among them. The number of crops per second is added.
        """
        if not self.main:
            return
        now = self.clock()
        speed = values["crops"] / max(now - self._last_step, 1e-9)
        self._last_step = now
        values = {**values, "crops_per_second": round(speed, 3)}
        self._log.write(json.dumps({"step": number, **values}) + "\n")
        self._log.flush()
        if self._curves is not None:
            for name, value in values.items():
                self._curves.add_scalar(name, value, number)
            self._curves.flush()
        text = f"loss {values['loss']:.3f} lr {values['lr']:.1e} {speed:.1f} crops/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=number, values=text)
        elif self._plain:
            self._print_line(number, text, now)

    def _print_line(self, number: int, text: str, now: float) -> None:
        """Print a plain line if one is due."""
        due = self._last_line is None or now - self._last_line >= LINE_EVERY or number == self.steps
        if due:
            left = (now - self._began) / (number - self.start) * (self.steps - number)
            seconds = timedelta(seconds=round(left))
            print(f"training: step {number}/{self.steps} {text} left {seconds}", file=sys.stderr, flush=True)
            self._last_line = now

    def _open_curves(self) -> object | None:
        """TensorBoard's writer; None, with a sentence on stderr, where TensorBoard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            if self._bar is not None or self._plain:
                print(
                    "TensorBoard is not installed (it comes with anykeypoint[tensorboard]); the losses are in "
                    f"{self.out / 'log.jsonl'} only.",
                    file=sys.stderr,
                )
            return None
        return SummaryWriter(self.out / "tensorboard", purge_step=self.start + 1)


def crop_counts(out: Path) -> tuple[int, int]:
    """Numbers of crops (or episodes) over a whole run, from its log: (trained on, without anything to learn from)."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return sum(line["crops"] for line in lines), sum(line["skipped"] for line in lines)


def _bar(console: Console) -> Progress:
    """A progress bar with the loss, the speed, the elapsed time and the time left."""
    columns = (TextColumn("training {task.fields[values]}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(*columns, *times, console=console)


def _drop_later(log: Path, start: int) -> None:
    """Keep the lines of steps up to `start`; lines that a kill cut short are dropped too."""
    if not log.exists():
        return
    kept = []
    for line in log.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
        except ValueError:
            continue
    write_bytes(log, "".join(kept).encode())
