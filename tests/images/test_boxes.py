"""Box rules by name, and the square around a box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_steps.datasets.base import Sample
from pipeline_steps.images.boxes import CropBox, head_box, square_around

LANDMARKS = np.array([[100.0, 150], [300, 150], [200, 350]])
SAMPLE = Sample(
    "s",
    np.eye(3),
    given_box=np.array([1.0, 2, 3, 4]),
    projected_head=np.array([5.0, 6, 7, 8]),
    literature_box=np.array([9.0, 10, 11, 12]),
    landmarks=LANDMARKS,
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("whole_image", [0, 0, 640, 480]),
        ("given_box", [1, 2, 3, 4]),
        ("projected_head", [5, 6, 7, 8]),
        ("literature", [9, 10, 11, 12]),
        ("landmarks_tight", [100, 150, 300, 350]),
        # Hopenet: 0.4 of 200 px to the left and above; then, of 280 px, 0.4 to the right and 0.12 below
        ("landmarks_loose", [20, 70, 412, 383.6]),
    ],
)
def test_box_rules(rule, expected):
    np.testing.assert_allclose(head_box(SAMPLE, rule, 640, 480), expected)


@pytest.mark.parametrize("rule", ["landmarks_tight", "landmarks_loose"])
def test_hidden_landmarks_do_not_count(rule):
    hidden = Sample("s", np.eye(3), landmarks=np.vstack([LANDMARKS, [[np.nan, np.nan]]]))
    np.testing.assert_array_equal(head_box(hidden, rule, 640, 480), head_box(SAMPLE, rule, 640, 480))


@pytest.mark.parametrize("rule", ["given_box", "projected_head", "literature", "landmarks_tight", "landmarks_loose"])
def test_a_rule_without_its_box_says_so(rule):
    with pytest.raises(ValueError, match=r"the data set gives no .*; choose another crop\.box"):
        head_box(Sample("s", np.eye(3)), rule, 640, 480)


def test_the_square_keeps_the_aspect_ratio_and_adds_the_margin():
    square = square_around(np.array([100.0, 100, 200, 150]), 0.1, 640, 480)
    np.testing.assert_allclose(square, [90, 65, 210, 185])
    for box, message in (
        ([np.nan, 0, 1, 1], "unusable box"),
        ([0, 0, 3, 3], "unusable box"),
        ([-9e5, -9e5, 9e5, 9e5], "unusable box"),
        ([700, 0, 800, 90], "outside the 640x480 image"),
    ):
        with pytest.raises(ValueError, match=message):
            square_around(np.array(box, float), 0.0, 640, 480)


def test_a_crop_box_is_the_square_around_the_box_of_its_rule():
    square = CropBox(box="landmarks_tight", margin=0.1).square(SAMPLE, 640, 480)
    np.testing.assert_allclose(square, [80, 130, 320, 370])  # 200 px and a tenth of it on each side, around (200, 250)


sides = st.integers(1, 40)
pixels = st.floats(-100, 100)
numbers = st.one_of(pixels, st.floats(), st.sampled_from([0.0, 20.0]))
points = st.lists(st.tuples(pixels, pixels), min_size=2, max_size=8).map(np.array)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of infinite numbers
@given(st.tuples(numbers, numbers, numbers, numbers).map(np.array), st.floats(-0.4, 2), sides, sides)
def test_the_square_of_a_box_is_square_and_keeps_its_centre_or_the_box_is_refused(box, margin, width, height):
    longer = (box[2:] - box[:2]).max() * (1 + 2 * margin)
    x, y = (box[:2] + box[2:]) / 2
    usable = box[0] < box[2] and box[1] < box[3] and 4 <= longer <= 10 * max(width, height)
    if not (usable and 0 <= x <= width and 0 <= y <= height):
        with pytest.raises(ValueError, match=r"^(unusable box|box .* is outside)"):
            square_around(box, margin, width, height)
        return
    x0, y0, x1, y1 = square_around(box, margin, width, height)
    np.testing.assert_allclose([x1 - x0, y1 - y0], longer, rtol=1e-9)
    np.testing.assert_allclose([x0 + x1, y0 + y1], [2 * x, 2 * y], atol=1e-9)


@given(points, pixels, pixels, st.floats(0.1, 10), st.sampled_from(["landmarks_tight", "landmarks_loose"]))
def test_a_box_of_landmarks_holds_them_and_moves_and_grows_with_them(landmarks, x, y, scale, rule):
    def box(points: np.ndarray) -> np.ndarray:
        return head_box(Sample("", None, landmarks=points), rule, 64, 48)

    x0, y0, x1, y1 = box(landmarks)
    assert ((landmarks >= [x0, y0]) & (landmarks <= [x1, y1])).all()
    np.testing.assert_allclose(box(scale * landmarks + [x, y]), scale * box(landmarks) + [x, y, x, y], atol=1e-9)
