"""What a point looks like, learnt from all examples at once."""

import numpy as np
import torch

from anykeypoint.labelling.discriminant import learnt


def maps(count: int, seed: int = 0) -> tuple[list[torch.Tensor], list[np.ndarray]]:
    """Feature maps of noise with one marked cell each, whose features are those of the point; and its place."""
    draw = torch.Generator().manual_seed(seed)
    mark = torch.randn(8, generator=torch.Generator().manual_seed(99))
    found, places = [], []
    for _ in range(count):
        features = torch.randn(1, 8, 10, 10, generator=draw)
        row, column = torch.randint(0, 10, (2,), generator=draw).tolist()
        features[0, :, row, column] = 3 * mark + torch.randn(8, generator=draw) / 2
        found.append(features)
        places.append(np.array([[(column + 0.5) / 10, (row + 0.5) / 10], [np.nan, np.nan]]))
    return found, places


def test_the_point_is_found_in_new_maps_by_what_the_examples_have_in_common():
    discriminant = learnt(*maps(6))
    queries, places = maps(20, seed=1)
    hits = 0
    for features, place in zip(queries, places, strict=True):
        scores = discriminant.scores(features)[0, 0]
        row, column = divmod(int(scores.argmax()), 10)
        hits += np.allclose([(column + 0.5) / 10, (row + 0.5) / 10], place[0])
    assert hits >= 18


def test_a_point_that_no_example_shows_has_no_scores():
    discriminant = learnt(*maps(3))
    assert discriminant.known.tolist() == [True, False]
    assert not discriminant.scores(maps(1)[0][0])[0, 1].any()
