"""Pictures as a page shows them."""

import io

import numpy as np
from PIL import Image

from anykeypoint.images import UprightPicture
from anykeypoint.serving.shown_pictures import part


def test_a_part_of_a_picture_that_was_shrunk_when_it_was_read_lies_where_it_lay():
    """The server has a share of the pixels of a very large picture; places are those of the file."""
    pixels = Image.new("RGB", (102, 68), "blue")
    pixels.paste("red", (34, 16, 50, 26))
    read = UprightPicture(pixels, (300, 200), shrunk=3, corner=(-2, -1))
    found = np.asarray(Image.open(io.BytesIO(part(read, 100, 47, 48, 30))), dtype=int)
    assert found.shape == (10, 16, 3)
    assert found[..., 0].min() > 200 and found[..., 2].max() < 60, "nothing beside it is in it"
