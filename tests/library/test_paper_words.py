"""Names in CapeLLM's supplement (A): those of its example, and those of points that have no name of their own."""

import re

from anykeypoint.library.lookup import category

LIMBS = ["{} shoulder", "{} elbow", "{} front paw"], ["{} hip", "{} knee", "{} back paw"]
PLACES = {"upper", "lower", "middle", "inner", "outer", "top", "bottom", "tip", "left", "right"}


def test_an_animals_body_has_the_names_of_the_papers_example():
    limbs = [part.format(side) for parts in LIMBS for side in ("left", "right") for part in parts]
    assert category("animal_body").names == ["left eye", "right eye", "nose", "neck", "root of tail", *limbs]


def test_the_points_of_a_face_are_named_by_their_places():
    names = category("human_face").names
    assert len(names) == 68 and all(PLACES & set(re.findall(r"[a-z]+", name)) for name in names)
    inner = [name for name in names if not PLACES - {"left", "right"} & set(name.split())]
    assert len(inner) < 25  # beside its side, most have another word of place
