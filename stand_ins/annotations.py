"""The `.mat` files of 300W-LP and AFLW2000-3D, with the fields, shapes and number types of the real files.

Their points are in MATLAB's pixels: the centre of the first pixel is 1, which is half a pixel more than where (0, 0) is
the image's corner. This follows from the hidden points (-1, 452) of the real files: the annotator's (-1, -1), flipped
vertically in an image of 450 rows as 450 + 1 - y.
"""

import io
from typing import Any

import numpy as np
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from stand_ins.camera import OffCentreView, Shot

_HEADER = b"MATLAB 5.0 MAT-file, Platform: stand-in, Created on: Thu Jan  1 00:00:00 1970".ljust(116)
_MICROMETRES = 1e6  # the unit of the face model behind the real labels
_DEPTH_OFFSET = -0.06  # metres; in the real files, depth is measured from the middle of the points, not from the ears


def matlab_points(pixels: np.ndarray) -> np.ndarray:
    """Points of any shape, with (0, 0) at the image's corner, in MATLAB's pixels."""
    return pixels + 0.5


def mat_file(fields: dict[str, np.ndarray]) -> bytes:
    """A compressed MATLAB 5 file without the time of day that SciPy writes into its header."""
    buffer: Any = io.BytesIO()  # SciPy's type stubs accept only file names
    savemat(buffer, fields, do_compression=True)
    content: bytes = buffer.getvalue()
    return _HEADER + content[len(_HEADER) :]


def euler_of(rotation: np.ndarray) -> np.ndarray:
    """Pitch, yaw, roll (3,) in radians of a rotation (3, 3), in the convention of 300W-LP."""
    return np.asarray(-Rotation.from_matrix(rotation).as_euler("XYZ"))


def pixels_per_metre(view: OffCentreView) -> float:
    """Scale of the image at the distance of the head's origin."""
    return float(view.focal / -view.position[2])


def pose_para(view: OffCentreView) -> np.ndarray:
    """Pose_Para (1, 7), all of it exact.

    Pitch, yaw, roll in radians; x, y from the bottom, and depth of the head's origin in MATLAB's pixels; pixels per
    micrometre.
    """
    x, y = matlab_points(view.project(np.zeros(3)))
    scale = pixels_per_metre(view)
    place = [x, view.height + 1 - y, _DEPTH_OFFSET * scale, scale / _MICROMETRES]
    return np.concatenate([euler_of(view.rotation), place])[None].astype(np.float32)


def face_model_fields(rng: np.random.Generator, view: OffCentreView) -> dict[str, np.ndarray]:
    """All fields except the points, by name.

    `roi` says that the image is not a part of a larger one. Shape, expression, texture, light and colour belong to a
    face model that is not used here: random numbers of realistic size.
    """
    return {
        "roi": np.array([[1, 1, view.size, view.height]], np.int16),
        "Illum_Para": np.concatenate([rng.uniform(0.4, 1.1, 6), rng.normal(0, 1, 2), [0.0, 20.0]])[None],
        "Color_Para": np.concatenate([rng.uniform(0.7, 1.3, 3), rng.normal(0, 0.2, 3), [1.0]])[None].astype(np.float32),
        "Tex_Para": rng.normal(0, 2e3, (199, 1)),
        "Shape_Para": rng.normal(0, 2e5, (199, 1)),
        "Exp_Para": rng.normal(0, 1, (29, 1)),
        "Pose_Para": pose_para(view),
    }


def points_3d(shot: Shot) -> np.ndarray:
    """Landmarks (3, 68): MATLAB's pixels, and the depth towards the viewer in pixels."""
    depth = shot.view.to_camera(shot.landmarks_head)[:, 2] - shot.view.position[2] + _DEPTH_OFFSET
    return np.asarray(np.concatenate([matlab_points(shot.landmarks).T, depth[None] * pixels_per_metre(shot.view)]))


def readme(name: str) -> bytes:
    """A file in the place of the MATLAB code in the official archives."""
    return f"The official {name} has the authors' MATLAB code here. These images are rendered.\n".encode()
