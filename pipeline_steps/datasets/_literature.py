"""Which square of an image Hopenet and 6DRepNet cut out: on 300W-LP in training, on AFLW2000-3D in tests.

Hopenet: github.com/natanielruiz/deep-head-pose at f7bbb99, code/{datasets,train_hopenet,test_hopenet}.py; 6DRepNet:
github.com/thohemp/6DRepNet at 464b2ba, sixdrepnet/{datasets,train,test}.py. Both take the smallest and largest
coordinates of `pt2d` as it stands: a hidden point is (-1, 452) in AFLW2000-3D, so that the box of most images (260 of
300 looked at) reaches to the left edge and to the bottom. They enlarge that box with a factor k, a step at a time, cut
it at whole pixels, black beyond the image's edge, and keep its aspect ratio: the shorter side is resized to the
network's 224 pixels or a little more, and 224 x 224 are cut out of that.

| | k | margin left, right; above; below | resized to | cut out |
|---|---|---|---|---|
| Hopenet, training | drawn from 0.2 to 0.4 | 0.6 k; 2 k; 0.6 k | 240 | 224, anywhere in the box |
| 6DRepNet, training | the same | the same | | `RandomResizedCrop(224, scale=(0.8, 1))` |
| Hopenet, test | 0.2 | 2 k; 2 k; 0.6 k | 224 | 224 in the centre |
| 6DRepNet, test | 0.2 | the same | 256 | 224 in the centre: `margin: -0.0625` |

What differs here. A crop is cut once, so that in training it is the one of the mean k, 0.3, in the box's centre, and
`augmentation` draws windows around it: `scale: [0.9, 1.1]` is what k from 0.2 to 0.4 does to the shorter side of a box
that is wider than 0.7 times its height. `augmentation.shift` moves windows as far along both sides, Hopenet's go to the
ends of the longer one, which would need a context of half a crop; so the chin of a profile, whose box is high, is often
beyond the crop's edge here and only sometimes there. 6DRepNet's RandomResizedCrop also stretches
by up to a third, which changes the apparent pose; no window here does. Beyond the image's edge it is black as there
with `crops.border: constant`.
"""

import numpy as np

_MEAN_K = 0.3
_TRAINING_SHARE = 224 / 240


def square_in_training(pt2d: np.ndarray) -> np.ndarray:
    """Hopenet's crop (4,) x0, y0, x1, y1 in training, at its mean size and place, from raw points (K, 2) in pixels."""
    return _square(pt2d, _MEAN_K, beside=0.6, share=_TRAINING_SHARE)


def square_in_tests(pt2d: np.ndarray) -> np.ndarray:
    """Hopenet's crop (4,) x0, y0, x1, y1 in tests, from raw points (K, 2) in pixels."""
    return _square(pt2d, 0.2, beside=2.0, share=1.0)


def _square(pt2d: np.ndarray, k: float, beside: float, share: float) -> np.ndarray:
    """The square in the centre of the enlarged box; its side is a share of the box's shorter one."""
    (x0, y0), (x1, y1) = pt2d.min(0), pt2d.max(0)
    x0, y0 = x0 - beside * k * (x1 - x0), y0 - 2 * k * (y1 - y0)
    x1, y1 = x1 + beside * k * (x1 - x0), y1 + 0.6 * k * (y1 - y0)
    corners = np.trunc([[x0, y0], [x1, y1]])
    side = share * (corners[1] - corners[0]).min()
    centre = corners.mean(0)
    return np.concatenate([centre - side / 2, centre + side / 2])
