"""AFLW2000-3D: single photographs of many people, each with a `.mat` file.

Zhu, Lei, Liu, Shi, Li: Face Alignment Across Large Poses: A 3D Solution, CVPR 2016. Members, as in the official
AFLW2000-3D.zip: `AFLW2000/imageNNNNN.{jpg,mat}`, with gaps in the numbers, and `AFLW2000/Code/`. In the official
archive, 31 of 2,000 images have an angle beyond 99 degrees; the renderer's limit is 90 degrees, so there are none here.
Some official files store a field of integers as bytes, and one has 23 points in `pt2d`; here all files are alike.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_steps.datasets.rendered import PosePrior
from pipeline_steps.rendering.compositing import compose, draw_background
from stand_ins.annotations import face_model_fields, mat_file, matlab_points, points_3d, readme
from stand_ins.archives import zip_archive
from stand_ins.camera import Shot, check_counts, jpeg, make_posable, stream

MOST_IMAGES = 49_999
_LAYOUT = "aflw2000"

_AFLW_POINTS = (
    *((17,), (19,), (21,), (22,), (24,), (26,)),  # brows: outer end, middle, inner end, and the same for the other one
    *((36,), (36, 37, 38, 39, 40, 41), (39,), (42,), (42, 43, 44, 45, 46, 47), (45,)),  # eyes: corner, middle, corner
    *((1,), (31,), (30,), (35,), (15,)),  # ear (nearest: the jaw below it), nose, other ear
    *((48,), (62, 66), (54,), (8,)),  # mouth, chin
)
"""AFLW's 21 points as means of the 68 landmarks; the order agrees with `pt3d_68` of the real files."""


def write_aflw2000(path: Path, subjects: int, images: int, seed: int, size: int = 450) -> pd.DataFrame:
    """Write `images` images of each of `subjects`, `size` pixels square.

    Returns the ground truth, one row per image: the columns of `Shot.truth`, and `visible` (68) whether nothing hides
    the landmark from the camera.
    """
    check_counts(subjects, images, MOST_IMAGES, MOST_IMAGES // max(subjects, 1))
    rows = []
    with zip_archive(path) as add:
        add("AFLW2000/Code/readme.txt", readme("AFLW2000-3D"))
        for number in range(subjects):
            subject = make_posable(_LAYOUT, seed, number)
            poses = PosePrior().draw(stream(_LAYOUT, seed, number, 3), images)
            for index, euler_deg in enumerate(poses):
                rng = stream(_LAYOUT, seed, number, 2, index)
                shot = subject.random_shot(rng, euler_deg, size)
                member = f"AFLW2000/image{2 * (number * images + index) + 2:05d}"
                add(f"{member}.jpg", jpeg(compose(rng, shot.light, draw_background(rng, size))))
                labels = {"pt2d": aflw_points(shot), **face_model_fields(rng, shot.view)}
                labels["pt3d_68"] = points_3d(shot).astype(np.float32)
                add(f"{member}.mat", mat_file(labels))
                rows.append(shot.truth(f"{member}.jpg", f"{number:05d}") | {"visible": shot.visible})
    return pd.DataFrame(rows)


def aflw_points(shot: Shot) -> np.ndarray:
    """AFLW's points (2, 21) in MATLAB's pixels; hidden ones are (-1, height + 2) as in the real files."""
    points = [matlab_points(shot.landmarks[list(used)].mean(0)) for used in _AFLW_POINTS]
    seen = [shot.visible[list(used)].all() for used in _AFLW_POINTS]
    hidden = np.array([-1.0, shot.view.height + 2.0])
    return np.where(np.array(seen)[:, None], points, hidden).T
