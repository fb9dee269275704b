"""Graphics cards by name: their memory, and how fast they train."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from ..configs.checks import check_choice
from ..configs.yaml_files import from_mapping, load_yaml

SHARE = 0.4  # of its products a second that a card reaches in a training; LocLLM's three days are 0.5 of four RTX 3090


@dataclass(frozen=True)
class Device:
    """A graphics card.

    called: its full name.
    memory: in GiB.
    bf16: TFLOPS of dense products in bfloat16.
    fp32: the same in float32.
    """

    called: str
    memory: float
    bf16: float
    fp32: float

    def speed(self, half: bool) -> float:
        """Floating-point operations of a training a second; half: whether its products are in bfloat16."""
        return SHARE * 1e12 * (self.bf16 if half else self.fp32)


@cache
def devices() -> Mapping[str, Device]:
    """All cards by name, from devices.yaml."""
    path = Path(str(resources.files(__package__) / "devices.yaml"))
    return {name: from_mapping(Device, values, f"{path}: {name}") for name, values in load_yaml(path).items()}


def device(name: str) -> Device:
    """A card by its name in devices.yaml; InputError for another name."""
    return devices()[check_choice(name, "The name of a graphics card", tuple(devices()))]
