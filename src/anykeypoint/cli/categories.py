"""`anykeypoint categories`: what the library knows by name, and what is wrong with a category."""

from ..library.check import check as find
from ..library.lookup import MP100, category, library_names, mp100_categories


def run(name: str | None, *, check: bool = False) -> int:
    """Print the library's names with their point counts, or the points of one category (a name or a file).

    name "mp100" lists MP-100's hundred categories. check: print a line for everything there is to mend instead, in
    one category or in the whole library; then 1 is returned if there is anything.
    """
    if check:
        return _check(library_names() if name is None else [name])
    if name is None:
        _table([(entry, entry) for entry in library_names()])
        last = max(mp100_categories())
        print(f"{MP100}1 ... {MP100}{last}: MP-100's categories, also by name ({MP100}camel_face); `mp100` lists them")
        return 0
    if name == MP100.rstrip("/"):
        _table([(f"{MP100}{i}", f"{MP100}{i}  {entry['name']}") for i, entry in mp100_categories().items()])
        return 0
    found = category(name)
    print(f"{found.name}: {len(found)} points of a {found.noun}")
    wide = max(len(point) for point in found.names)
    for i, keypoint in enumerate(found.keypoints):
        print(f"{i + 1:>4}  {keypoint.name:<{wide}}  {keypoint.description}".rstrip())
    return 0


def _table(entries: list[tuple[str, str]]) -> None:
    """A line for each category: the text to show for it, its number of points and its noun."""
    wide = max((len(shown) for _, shown in entries), default=0)
    for name, shown in entries:
        found = category(name)
        print(f"{shown:<{wide}}  {len(found):>3} points  {found.noun}")


def _check(names: list[str]) -> int:
    findings = [finding for name in names for finding in find(category(name))]
    for finding in findings:
        print(finding)
    if not findings:
        points = sum(len(category(name)) for name in names)
        print(f"Nothing to mend in {len(names)} {'category' if len(names) == 1 else 'categories'}, {points} points.")
    return 1 if findings else 0
