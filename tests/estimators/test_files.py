"""Files of arrays and a page: whole or not at all, and nothing in them can run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from estimators import files


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npz"
    files.write(path, {"kind": "é"}, {"x": np.arange(3.0)})
    about, arrays = files.read(path)
    assert about == {"kind": "é"}
    np.testing.assert_array_equal(arrays["x"], [0.0, 1.0, 2.0])
    assert [each.name for each in path.parent.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("bad", [None, [{}, 1], np.array([object()])])
def test_what_numpy_would_pickle_is_refused_and_the_old_file_stays(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "a.npz"
    files.write(path, {}, {"x": np.ones(1)})
    with pytest.raises(TypeError, match="y: no plain arrays"):
        files.write(path, {}, {"x": np.zeros(1), "y": bad})  # type: ignore[dict-item]
    np.testing.assert_array_equal(files.read(path)[1]["x"], [1.0])
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_file_raises_what_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    files.write(path, {"a": 1}, {"x": np.arange(40.0)})
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            path.write_bytes(content)
            try:
                files.read(path)
            except (OSError, *files.DAMAGED):
                pass
