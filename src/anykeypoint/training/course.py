"""What the loop is told of a model family: a course has its plan, its batches, its loss and what of it trains."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from torch import Tensor, nn


class Plan(Protocol):
    """What every optimiser step of one process sees.

    steps: of the run. per_step: images (of matchers, episodes) to a step, over all passes and processes.
    """

    steps: int
    per_step: int

    def items(self, step: int, process: int) -> list[Any]:
        """The step's forward passes, each in the form that `Course.opened` takes."""


@dataclass(frozen=True)
class Pass:
    """One pass, ready to run: its batches, each with its share of the pass's loss (they sum to 1).

    crops: those trained on. skipped: those without anything to learn from. seed: of dropout. names: for a message.
    """

    batches: Sequence[tuple[Any, float]]
    crops: int
    skipped: int
    seed: int
    names: Sequence[str]


class Course:
    """One model and how it is trained.

    model: has `save_pretrained`. config: a frozen dataclass that loads strictly; the loop reads `precision`, `lr`,
    `weight_decay`, `clip`, `ema`, `save_every` and `keep`. free: settings that may differ when a run goes on.
    together: all processes must run the model equally often.
    """

    model: nn.Module
    config: Any
    free: tuple[str, ...] = ("save_every", "keep")
    together: bool = False

    def settle(self, accelerator: Accelerator, out: Path) -> Plan:
        """Bring the model to its device and plan the run in the folder `out`; all else is called after it."""
        raise NotImplementedError

    def groups(self) -> list[dict]:
        """What trains, as parameter groups with their full rates."""
        raise NotImplementedError

    def beside(self) -> Mapping[str, nn.Parameter]:
        """What trains beside the model, is in some group and in checkpoints, and is thrown away in the end."""
        return {}

    def rate(self, step: int) -> float:
        """The share of the full rates at a step, counted from 0."""
        raise NotImplementedError

    def parts(self, step: int) -> tuple[str, ...]:
        """Names of all that `losses` may give at a step, in any process."""
        raise NotImplementedError

    def opened(self, items: Any, step: int) -> Pass:
        """Read and build what one pass of the plan holds."""
        raise NotImplementedError

    def losses(self, batch: Any, step: int) -> dict[str, Tensor]:
        """One forward pass: "loss", which is minimised, and its parts, each a scalar."""
        raise NotImplementedError

    def running(self) -> AbstractContextManager:
        """Within it all steps are taken."""
        return nullcontext()

    def idle(self) -> None:
        """Run the model forward and backward for nothing, where `together`."""
        raise NotImplementedError
