"""Tiles in which a picture is searched for small faces."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from preprocess.face.search import OVERLAP, SHARE, SMALLEST, TILE, is_wide, tiles


@given(st.integers(100, 1920), st.integers(100, 1920), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_face_anywhere_lies_whole_in_a_tile_or_the_picture_that_it_is_large_enough_for(
    height: int, width: int, size: float, across: float, down: float
) -> None:
    longer = max(height, width)
    side = SMALLEST + size * (min(height, width) / 2 - SMALLEST)  # of the square around the face
    left, top = across * (width - side), down * (height - side)
    holding = [
        tile
        for x, y, tile in tiles(height, width)
        if x <= left + 1 and y <= top + 1 and left + side <= x + tile + 1 and top + side <= y + tile + 1
    ]
    large_enough = [tile for tile in holding if side >= SHARE * tile - 1]
    assert large_enough or side >= SHARE * longer - 1 or side < SMALLEST or not is_wide(height, width)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_tiles_lie_in_the_picture_and_overlap(height: int, width: int) -> None:
    places = tiles(height, width)
    assert all(side < max(height, width) and side % TILE == 0 for _, _, side in places)
    for side in {side for _, _, side in places}:
        for axis, length in ((0, width), (1, height)):
            begun = sorted({place[axis] for place in places if place[2] == side})
            assert begun[0] == 0
            assert begun[-1] == max(0, length - side)
            assert max(np.diff(begun), default=0) <= side * (1 - OVERLAP) + 1
