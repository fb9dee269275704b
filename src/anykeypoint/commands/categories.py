"""`anykeypoint categories`: what the library knows by name."""

from ..category import category, library_names


def run(name: str | None) -> int:
    """Print the library's names with their point counts, or the points of one category (a name or a file)."""
    if name is None:
        known = [(entry, category(entry)) for entry in library_names()]
        wide = max((len(entry) for entry, _ in known), default=0)
        for entry, found in known:
            print(f"{entry:<{wide}}  {len(found):>3} points  {found.noun}")
        return 0
    found = category(name)
    print(f"{found.name}: {len(found)} points of a {found.noun}")
    wide = max(len(point) for point in found.names)
    for i, keypoint in enumerate(found.keypoints):
        print(f"{i + 1:>4}  {keypoint.name:<{wide}}  {keypoint.description}".rstrip())
    return 0
