"""AFLW2000-3D: single photographs of many people, each with a `.mat` beside it.

Zhu, Lei, Liu, Shi, Li: Face Alignment Across Large Poses: A 3D Solution, CVPR 2016. Members, as in the official
AFLW2000-3D.zip: `AFLW2000/imageNNNNN.{jpg,mat}`, with gaps in the numbers, and `AFLW2000/Code/`. The official one has
31 of 2,000 pictures with an angle beyond 99 degrees; the renderer ends at 90, so there are none here. In some real
files a field that holds whole numbers is stored as bytes, and one has 23 points in `pt2d`; here all are alike.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_steps.datasets.rendered import PosePrior
from pipeline_steps.rendering.photographs import develop, draw_background
from stand_ins.annotations import face_model_fields, mat_file, matlab_points, points_3d, readme
from stand_ins.archives import zip_archive
from stand_ins.heads import Shot, check_counts, jpeg, sitter, snapshot, stream

MOST_PICTURES = 49_999
_LAYOUT = "aflw2000"

_AFLW_POINTS = (
    *((17,), (19,), (21,), (22,), (24,), (26,)),  # brows: outer end, middle, inner end, and the other one
    *((36,), (36, 37, 38, 39, 40, 41), (39,), (42,), (42, 43, 44, 45, 46, 47), (45,)),  # eyes: corner, middle, corner
    *((1,), (31,), (30,), (35,), (15,)),  # ear (nearest: the jaw below it), nose, other ear
    *((48,), (62, 66), (54,), (8,)),  # mouth, chin
)
"""AFLW's 21 points as means of the 68 landmarks; the order is certain: it agrees with `pt3d_68` of the real files."""


def write_aflw2000(path: Path, people: int, images: int, seed: int, size: int = 450) -> pd.DataFrame:
    """Write `images` pictures of each of `people`, `size` pixels square.

    Returns the truth, a row per picture: the columns of `Shot.truth`, and `visible` (68) whether nothing hides the
    landmark from the camera.
    """
    check_counts(people, images, MOST_PICTURES, MOST_PICTURES // max(people, 1))
    rows = []
    with zip_archive(path) as add:
        add("AFLW2000/Code/readme.txt", readme("AFLW2000-3D"))
        for person in range(people):
            who = sitter(_LAYOUT, seed, person)
            poses = PosePrior().draw(stream(_LAYOUT, seed, person, 3), images)
            for index, euler_deg in enumerate(poses):
                rng = stream(_LAYOUT, seed, person, 2, index)
                shot = snapshot(rng, who, euler_deg, size)
                member = f"AFLW2000/image{2 * (person * images + index) + 2:05d}"
                add(f"{member}.jpg", jpeg(develop(rng, shot.light, draw_background(rng, size))))
                labels = {"pt2d": aflw_points(shot), **face_model_fields(rng, shot.view)}
                labels["pt3d_68"] = points_3d(shot).astype(np.float32)
                add(f"{member}.mat", mat_file(labels))
                rows.append(shot.truth(f"{member}.jpg", f"{person:05d}") | {"visible": shot.visible})
    return pd.DataFrame(rows)


def aflw_points(shot: Shot) -> np.ndarray:
    """AFLW's points (2, 21) in MATLAB's pixels; a hidden one is (-1, height + 2) as in the real files."""
    points = [matlab_points(shot.landmarks[list(used)].mean(0)) for used in _AFLW_POINTS]
    seen = [shot.visible[list(used)].all() for used in _AFLW_POINTS]
    hidden = np.array([-1.0, shot.view.height + 2.0])
    return np.where(np.array(seen)[:, None], points, hidden).T
