"""A `.mat` annotation is read as SciPy reads it."""

import io
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from pipeline_steps.datasets._annotations import read_annotation

numbers = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).uniform(0, 100, (3, 70)))
types = st.sampled_from(["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">f8", ">i2"])
DOUBLE, CLASS_OF_THE_FIRST = 6, 144


@given(numbers, types, types, st.integers(3, 7), st.sampled_from([2, 3]), st.booleans(), st.booleans(), st.booleans())
def test_a_mat_file_is_read_as_scipy_reads_it(numbers, pose_type, type_, width, rows, compressed, by_column, shrunk):
    """shrunk: doubles with small integer values, which MATLAB stores in fewer bytes."""
    pose = numbers[:1, :width].astype("u1" if shrunk else pose_type)
    points = np.asarray(numbers[:rows].astype(type_), order="F" if by_column else "C")
    fields = {"Pose_Para": pose, "other": {"a": ["b", 1]}, "text": "Pose_Para", "pt2d": points, "empty": np.empty(0)}
    buffer = io.BytesIO()
    savemat(buffer, fields, do_compression=compressed and not shrunk)
    content = bytearray(buffer.getvalue())
    if shrunk:
        content[CLASS_OF_THE_FIRST] = DOUBLE
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.mat").write_bytes(content)
        euler_deg, landmarks, pt2d = read_annotation(Path(folder) / "a.mat", "pt2d")
    expected = loadmat(io.BytesIO(content))
    np.testing.assert_allclose(euler_deg, np.degrees(expected["Pose_Para"][0, [1, 0, 2]].astype(float)))
    np.testing.assert_array_equal(landmarks, expected["pt2d"][:2, :68].T)
    assert pt2d is not None
    np.testing.assert_array_equal(pt2d, expected["pt2d"][:2].T)
