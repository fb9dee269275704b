"""Named tensors: whether they fit a network exactly, and a hash of a network's."""

import hashlib
from collections.abc import Mapping

from torch import Tensor, nn

from ..errors import InputError, first_few

NAMED = 8  # number of tensors of a kind that an error names


def check_tensors(expected: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor], what: str) -> None:
    """InputError that lists unknown, missing and wrongly shaped tensors, unless `given` fits `expected` exactly.

    expected: name -> shape.
    given: name -> tensor.
    what: subject of the sentence, a plural: "The LoRA weights".
    """
    unknown = sorted(set(given) - set(expected))
    missing = sorted(set(expected) - set(given))
    shapes = [
        f"{key} {list(given[key].shape)} instead of {list(shape)}"
        for key, shape in expected.items()
        if key in given and tuple(given[key].shape) != tuple(shape)
    ]
    problems = [("unknown", unknown), ("missing", missing), ("of the wrong shape", shapes)]
    if found := [f"{label}: {first_few(keys, NAMED)}" for label, keys in problems if keys]:
        raise InputError(f"{what} do not fit; {'; '.join(found)}.")


def float32_hash(module: nn.Module) -> str:
    """The SHA-256 of a module's weights by name, as float32: what tells features that are kept of it from another's."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()
