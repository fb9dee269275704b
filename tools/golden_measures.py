"""One comparison with a golden number, and the golden set's rule for how far off a number may be."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Measure:
    """One comparison: the largest absolute error of a tensor and what it may be."""

    what: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        return self.error <= self.tolerance  # False for NaN

    @property
    def share(self) -> float:
        """The part of the tolerance that is used up; NaN counts as infinite, so that it comes first."""
        if self.error != self.error:
            return float("inf")
        return self.error / self.tolerance if self.tolerance else self.error * float("inf") if self.error else 0.0


def compare(what: str, ours: Tensor, reference: Tensor, relative: float = 1e-5, absolute: float = 2e-5) -> Measure:
    """The golden set's rule for features: `relative` of the largest absolute value plus `absolute`."""
    if ours.shape != reference.shape:
        raise ValueError(f"{what} has the shape {list(ours.shape)}, the reference {list(reference.shape)}")
    error = (ours.double() - reference.double()).abs().max().item()
    return Measure(what, error, relative * reference.double().abs().max().item() + absolute)


def same(what: str, ours: object, reference: object) -> Measure:
    """A comparison of texts, ids or spans, which must be equal: the error is 0 or 1."""
    return Measure(what, float(ours != reference), 0.0)
