"""Where a network computes."""

import torch

from ..configs.checks import near_names
from ..errors import InputError, first_line

NAMES = ("auto", "cpu", "cuda", "mps")


def pick_device(device: str) -> torch.device:
    """A torch device by name; "auto" is the first GPU of CUDA where one can be used, else Apple's (MPS), else the CPU.

    Raises InputError for a name that torch does not know, and for a device that cannot be used here.
    """
    if isinstance(device, torch.device):
        device = str(device)
    if not isinstance(device, str):
        raise InputError(f"A device must be auto, cpu, cuda or mps, but got {device!r:.80}.")
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        near = " (a GPU is called cuda)" if "gpu" in device.lower() else near_names(device, NAMES)
        raise InputError(f"There is no device {device!r}{near}; use auto, cpu, cuda or mps.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InputError("No CUDA device can be used here; use --device cpu or install a CUDA build of torch.")
    if chosen.type != "cpu":
        try:
            torch.zeros(1, device=chosen).cpu()
        except (RuntimeError, AssertionError, NotImplementedError) as error:  # which one depends on the kind of device
            raise InputError(
                f"The device {device!r} cannot be used here: {first_line(error)}; use auto, cpu, cuda or mps."
            ) from error
    return chosen
