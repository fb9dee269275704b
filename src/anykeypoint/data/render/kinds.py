"""The kinds of object that can be rendered, as the files in `kinds/` describe them.

Every file is a mapping from a kind's name to its entry. The frame of an object is that of its model at rest, turned by
`turn`: x to the front, y to its own left, z up. Left and right in names are those of this frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

from ...category import Category, Keypoint
from ...configs.checks import check_share, near_names
from ...configs.doubled_keys import strict_yaml
from ...configs.yaml_files import from_mapping
from ...errors import InputError
from .archives import archives

WAYS = ("at", "towards", "joint", "site", "body")  # how the place of a point is given


@dataclass(frozen=True)
class ModelPoint:
    """A keypoint and its place in the model; exactly one of WAYS is given.

    name: as a person would call it.
    description: where it is, in a phrase.
    part: the bodies, geoms or meshes whose surfaces `at` and `towards` refer to, the whole object without any. The
        point moves with the first.
    at: the point of the surface nearest to this place in the part's bounding box at rest, three numbers from -1 to 1
        along x, y and z of the object's frame.
    inside: take the place of `at` itself, not the nearest point of the surface.
    towards: the middle of what lies farthest in this direction of the object's frame.
    joint: the anchor of this joint.
    site: this site of the model.
    body: the origin of this body.
    """

    name: str
    description: str
    part: tuple[str, ...] = ()
    at: tuple[float, ...] = ()
    inside: bool = False
    towards: tuple[float, ...] = ()
    joint: str = ""
    site: str = ""
    body: str = ""

    def __post_init__(self) -> None:
        given = [way for way in WAYS if getattr(self, way)]
        if len(given) != 1:
            raise InputError(
                f"The point {self.name!r} must have one of {', '.join(WAYS)}, but has {', '.join(given) or 'none'}."
            )
        for way in ("at", "towards"):
            value = getattr(self, way)
            if value and len(value) != 3:
                raise InputError(f"The point {self.name!r}, key {way!r}, must be three numbers, but got {value!r}.")


@dataclass(frozen=True)
class Attached:
    """A second model on a body of the first, such as the gripper of an arm.

    file: its XML file, relative to the archive's folder.
    body: the body of the first model that it is fixed to. Its own names get the prefix "grip_".
    """

    file: str
    body: str


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    noun: the word for it.
    archive: the package that its model comes from, a name in `archives.yaml`.
    file: the XML file of the model, relative to the archive's folder.
    points: its keypoints.
    body: the body that is the object, with all below it; None takes the whole model.
    drop: bodies that are left out with all below them.
    hide: geoms or meshes, or bodies whose own geoms, that are not drawn.
    groups: MuJoCo's groups of the geoms that are drawn; the others serve collisions.
    attached: a second model that is fixed to it.
    joints: lowest and highest position of joints, in radians or metres, in place of the model's own limits.
    follow: joint -> [joint, factor], for joints that move with another.
    motion: the share of a joint's range, about its middle, in which positions are drawn.
    turn: angles in degrees about x, y and z by which the model is turned so that its frame is that of the module.
    azimuth: from where it is seen, in degrees from its front towards its own left: lowest and highest.
    elevation: degrees above the horizontal: lowest and highest.
    floor: whether it stands on a floor in some pictures.
    own_colours: the share of pictures in which it has the colours and textures of its model.
    """

    noun: str
    archive: str
    file: str
    points: tuple[ModelPoint, ...]
    body: str | None = None
    drop: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    groups: tuple[int, ...] = (1,)
    attached: Attached | None = None
    joints: Mapping[str, list] = None  # type: ignore[assignment]
    follow: Mapping[str, list] = None  # type: ignore[assignment]
    motion: float = 1.0
    turn: tuple[float, ...] = (0.0, 0.0, 0.0)
    azimuth: tuple[float, ...] = (-180.0, 180.0)
    elevation: tuple[float, ...] = (0.0, 55.0)
    floor: bool = True
    own_colours: float = 0.5

    def __post_init__(self) -> None:
        for field in ("joints", "follow"):
            value = getattr(self, field) or {}
            object.__setattr__(self, field, value)
            if wrong := [name for name, pair in value.items() if not isinstance(pair, list) or len(pair) != 2]:
                raise InputError(f"Each of a kind's {field} must have two values, but {wrong[0]!r} has not.")
        for field in ("motion", "own_colours"):
            check_share(getattr(self, field), f"A kind's {field}")
        for field, count in (("turn", 3), ("azimuth", 2), ("elevation", 2)):
            if len(getattr(self, field)) != count:
                raise InputError(f"A kind's {field} must be {count} numbers, but got {getattr(self, field)!r}.")
        if self.archive not in archives():
            near = near_names(self.archive, archives())
            raise InputError(
                f"A kind's archive must be one of {', '.join(archives())}, but got {self.archive!r}{near}."
            )

    @cached_property
    def category(self) -> Category:
        """Its keypoints in words; pairs of left and right are derived from the names."""
        return Category(self.noun, tuple(Keypoint(p.name, p.description) for p in self.points), noun=self.noun)


@cache
def known_kinds() -> dict[str, Kind]:
    """All kinds by name, in the order of the files. Raises InputError for an entry that does not fit."""
    kinds: dict[str, Kind] = {}
    folder = resources.files("anykeypoint.data.render") / "kinds"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".yaml"):
            continue
        for name, entry in (strict_yaml(file.read_text(encoding="utf-8")) or {}).items():
            if name in kinds:
                raise InputError(f"{file.name}: the kind {name!r} is described twice; rename one.")
            kinds[name] = from_mapping(Kind, entry, f"{file.name}: {name}")
    return kinds


def known_kind(name: str) -> Kind:
    """The kind of that name. Raises InputError with the nearest names where there is none."""
    if name not in known_kinds():
        near = near_names(name, known_kinds())
        raise InputError(f"There is no kind {name!r} to render{near}; known are {', '.join(known_kinds())}.")
    return known_kinds()[name]
