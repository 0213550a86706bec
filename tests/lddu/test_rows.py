"""Rows of a clip as one."""

import numpy as np

from lddu.rows import mean_rows


def test_masked_rows_do_not_count() -> None:
    x = np.array([[[1.0, 2.0], [3.0, 4.0], [np.nan, 9.0]], [[5.0, 5.0]] * 3], np.float32)
    mask = np.array([[True, True, False], [False, False, False]])
    rows = mean_rows(x, mask)
    assert rows[0].tolist() == [2.0, 3.0]
    assert np.isnan(rows[1]).all()
