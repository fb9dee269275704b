"""Files that many tests want, made once in a process."""

from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory


def write_again(folder: Path, make: Callable[..., None], *arguments: Hashable) -> None:
    """Put into a folder what `make(empty_folder, *arguments)` wrote when it was called for the first time."""
    for place, content in _made(make, arguments).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)


@cache
def _made(make: Callable[..., None], arguments: tuple[Hashable, ...]) -> dict[Path, bytes]:
    with TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, *arguments)
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
