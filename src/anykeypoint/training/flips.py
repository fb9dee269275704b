"""What mirrored training crops exchange, said before a run, and sides without a partner, which stop it.

In a mirrored crop the subject's left looks like its right. Where a name has a side and no partner on the other one,
such a crop would teach the wrong side, so the category is never mirrored (`Category.flips`), and the run goes on only
if that is meant: the definition lists the point under `alone`, or the recipe says `allow_unpaired`.
"""

from collections.abc import Iterable
from pathlib import Path

from ..category import Category
from ..errors import InputError, first_few
from ..io import write_bytes
from .run_config import RunConfig

FILE = "flips.txt"  # of a run's folder: a line for each category
_LINES = 5  # largest number of categories whose lines are said one by one
_NAMED = 12  # number of points that the refusal names


def flip_lines(categories: Iterable[Category], config: RunConfig) -> list[str]:
    """A line for each category about what its mirrored crops exchange; none for a recipe without flips.

    categories: those of the objects that are trained on, each as often as one likes.
    Raises InputError, naming the points, for names with a side and no partner that are not `alone`, unless
    `allow_unpaired` is set.
    """
    if not config.augment.flip:
        return []
    kinds = list(dict.fromkeys({id(category): category for category in categories}.values()))
    wrong = [(kind.name, kind.names[i]) for kind in kinds for i in kind.unpaired if i not in kind.alone]
    if wrong and not config.allow_unpaired:
        named = first_few([f"{point!r} of {name!r}" for name, point in wrong], _NAMED)
        raise InputError(
            f"Training with flips teaches the wrong side of points without a partner on the other side: {named}; "
            "name the partner, or give --allow-unpaired (allow_unpaired: true in the recipe), which never mirrors such "
            "categories."
        )
    return [_line(kind) for kind in kinds]


def say_flips(lines: list[str], out: Path) -> list[str]:
    """Write the lines to `out/flips.txt`. Returns what is to be said: the lines, or their number if they are many."""
    if not lines:
        return []
    write_bytes(out / FILE, ("\n".join(lines) + "\n").encode())
    if len(lines) <= _LINES:
        return lines
    paired = sum(": mirrored crops exchange " in line for line in lines)
    never = sum(": never mirrored" in line for line in lines)
    same = sum(": mirrored as it is" in line for line in lines)
    return [
        f"Mirrored crops exchange left and right in {paired} of {len(lines)} categories; {same} have no "
        f"sides, and {never} are never mirrored, as a side lacks its partner; {out / FILE} lists all pairs."
    ]


def _line(kind: Category) -> str:
    if not kind.flips:
        names = ", ".join(repr(kind.names[i]) for i in kind.unpaired)
        return f"{kind.name}: never mirrored, as without a partner on the other side: {names}"
    if not kind.pairs:
        return f"{kind.name}: mirrored as it is, as no point has another side"
    pairs = "; ".join(f"{kind.names[a]} and {kind.names[b]}" for a, b in kind.pairs)
    return f"{kind.name}: mirrored crops exchange {pairs}"
