"""The `.mat` files of 300W-LP and AFLW2000-3D: fields, shapes and number types as in the real ones.

Points are MATLAB's pixels there: the first pixel's middle is 1, half a pixel more than where (0, 0) is the picture's
corner. Certain from the real files' hidden points (-1, 452): the annotator's (-1, -1), turned upside down in a picture
of 450 rows as 450 + 1 - y.
"""

import io
from typing import Any

import numpy as np
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from stand_ins.heads import Framed, Shot

_HEADER = b"MATLAB 5.0 MAT-file, Platform: stand-in, Created on: Thu Jan  1 00:00:00 1970".ljust(116)
_MICROMETRES = 1e6  # the unit of the face model behind the real labels
_DEPTH_OFFSET = -0.06  # metres; the real points' depths lie about zero, not about the ears


def matlab_points(pixels: np.ndarray) -> np.ndarray:
    """MATLAB's pixels of points whose (0, 0) is the picture's corner, any shape."""
    return pixels + 0.5


def mat_file(fields: dict[str, np.ndarray]) -> bytes:
    """A compressed MATLAB 5 file without the time of day that SciPy writes into its head."""
    buffer: Any = io.BytesIO()  # SciPy's types know of files by name only
    savemat(buffer, fields, do_compression=True)
    content: bytes = buffer.getvalue()
    return _HEADER + content[len(_HEADER) :]


def euler_of(rotation: np.ndarray) -> np.ndarray:
    """Pitch, yaw, roll (3,) in radians of a rotation (3, 3), as 300W-LP counts them."""
    return np.asarray(-Rotation.from_matrix(rotation).as_euler("XYZ"))


def pixels_per_metre(view: Framed) -> float:
    """Scale of the picture at the distance of the head's origin."""
    return float(view.focal / -view.position[2])


def pose_para(view: Framed) -> np.ndarray:
    """Pose_Para (1, 7), all exact: pitch, yaw, roll in radians, the head's origin in MATLAB's pixels (x, y from below,
    depth), pixels per micrometre.
    """
    x, y = matlab_points(view.project(np.zeros(3)))
    scale = pixels_per_metre(view)
    place = [x, view.height + 1 - y, _DEPTH_OFFSET * scale, scale / _MICROMETRES]
    return np.concatenate([euler_of(view.rotation), place])[None].astype(np.float32)


def face_model_fields(rng: np.random.Generator, view: Framed) -> dict[str, np.ndarray]:
    """All fields but the points, by name.

    `roi` says that the picture was not cut out of a larger one. Shape, expression, texture, light and colour are of a
    face model that was not used here: numbers of the real ones' size, without meaning.
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
    """What stands in for the MATLAB code of the official archives."""
    return f"In the official {name} the authors' MATLAB code lies here. These pictures are rendered.\n".encode()
