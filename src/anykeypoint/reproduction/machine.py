"""The machine that a reproduction would run on: its devices, their memory, and how fast they multiply."""

import os
from dataclasses import dataclass

import torch

from ..training.product_speed import product_speed
from .devices import Device
from .sizes import GIB


@dataclass(frozen=True)
class Machine:
    """The devices that trainings can take.

    device: one of them; its speeds are measured.
    count: their number; 1 for a CPU.
    gpu: whether they are GPUs.
    """

    device: Device
    count: int
    gpu: bool

    def described(self) -> str:
        """The machine in a phrase."""
        speed = f"{self.device.bf16:.2g} TFLOPS in bfloat16, {self.device.fp32:.2g} in float32, as measured now"
        many = f"{self.count} x " if self.count > 1 else ""
        return f"{many}{self.device.called}, {self.device.memory:.0f} GiB; {speed}"


def this_machine(device: str = "auto") -> Machine:
    """The devices of this machine; their speed is measured, which takes about a second.

    device: "cpu" leaves GPUs out.
    """
    if device != "cpu" and torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found = Device(properties.name, properties.total_memory / GIB, *_speeds("cuda"))
        return Machine(found, torch.cuda.device_count(), True)
    threads = torch.get_num_threads()
    name = f"CPU with {threads} of {os.cpu_count()} threads"
    return Machine(Device(name, _memory() / GIB, *_speeds("cpu")), 1, False)


def _memory() -> float:
    """The machine's memory in bytes; infinite where the system does not say it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # not on Windows
        return float("inf")


def _speeds(device: str) -> tuple[float, float]:
    """TFLOPS of products of matrices in bfloat16 and in float32."""
    return product_speed(device, torch.bfloat16), product_speed(device, torch.float32)
