"""What a run tells while it goes on: a line per step in log.jsonl, TensorBoard's curves, and a progress bar."""

import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Report:
    """A context for the steps of a run; it does nothing in processes other than the main one.

    The log and the curves of a run that was stopped go on behind step `start`: what was told of later steps is dropped.
    """

    def __init__(self, out: Path, steps: int, start: int, main: bool) -> None:
        self.out, self.steps, self.start, self.main = out, steps, start, main

    def __enter__(self) -> "Report":
        columns = (TextColumn("training {task.fields[figures]}"), BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        self.progress = Progress(*columns, *times, disable=not self.main)
        if self.main:
            path = self.out / "log.jsonl"
            _drop_later(path, self.start)
            self.log = path.open("a")
            self.board = self._board()
        self.progress.start()
        self.bar = self.progress.add_task("", total=self.steps, completed=self.start, figures="")
        self.clock = time.perf_counter()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()
        if self.main:
            self.log.close()
            if self.board is not None:
                self.board.close()

    def step(self, number: int, figures: dict[str, float]) -> None:
        """Tell the figures of a step, numbered from 1, with how many crops a second it had."""
        if not self.main:
            return
        now = time.perf_counter()
        rate, self.clock = figures["crops"] / (now - self.clock), now
        figures = {**figures, "crops_per_second": round(rate, 3)}
        self.log.write(json.dumps({"step": number, **figures}) + "\n")
        self.log.flush()
        if self.board is not None:
            for name, value in figures.items():
                self.board.add_scalar(name, value, number)
            self.board.flush()
        words = f"loss {figures['loss']:.3f} lr {figures['lr']:.1e} {rate:.1f} crops/s"
        self.progress.update(self.bar, completed=number, figures=words)

    def _board(self) -> object | None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            words = "TensorBoard is not installed (it comes with anykeypoint[tensorboard])"
            print(f"{words}; the figures are in {self.out / 'log.jsonl'} only.", file=sys.stderr)
            return None
        return SummaryWriter(self.out / "tensorboard", purge_step=self.start + 1)


def crop_counts(out: Path) -> tuple[int, int]:
    """(crops that were trained on, crops without a labelled point inside them) of a whole run, from its log."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return sum(line["crops"] for line in lines), sum(line["skipped"] for line in lines)


def _drop_later(log: Path, start: int) -> None:
    """Keep the lines of steps up to `start`; a line that a kill cut short belongs to none of them."""
    if not log.exists():
        return
    kept = []
    for line in log.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
        except ValueError:
            continue
    scratch = log.with_name(f".log.{os.getpid()}")
    scratch.write_text("".join(kept))
    os.replace(scratch, log)
