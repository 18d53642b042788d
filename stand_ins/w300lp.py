"""300W-LP: views of faces in four folders, and their mirror images in four more.

Zhu, Lei, Liu, Shi, Li: Face Alignment Across Large Poses: A 3D Solution, CVPR 2016. Members, as in the official
300W-LP.zip: `300W_LP/{AFW,HELEN,IBUG,LFPW}/NAME_V.{jpg,mat}` where V numbers the views of one face from the original
photograph, 0, to the profile; `300W_LP/{AFW,...}_Flip/` with the same names; `300W_LP/landmarks/AFW/NAME_V_pts.mat`;
`300W_LP/Code/`. Folders, names and fields are those of the official archive. In its `_pts.mat` files the two fields
differ, because `pts_2d` follows the visible outline of the cheek; here they are equal. There the label of a mirror
image is a fit of its own; here it is the mirrored label.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_steps.datasets.rendered import PosePrior
from pipeline_steps.rendering.compositing import compose, draw_background
from stand_ins.annotations import face_model_fields, mat_file, matlab_points, pose_para, readme
from stand_ins.archives import zip_archive
from stand_ins.camera import OffCentreView, Shot, check_counts, jpeg, make_posable, stream

MOST_SUBJECTS, MOST_IMAGES = 4000, 100
_PARTS = ("AFW", "HELEN", "IBUG", "LFPW")
_LAYOUT = "w300lp"

_SWAPPED_RUNS = ((0, 16), (17, 26), (31, 35), (48, 54), (55, 59), (60, 64), (65, 67))
"""Ranges of landmarks that a mirror image reverses: jaw, brows, nostrils, outer lips (upper, lower), inner lips."""

_SWAPPED_PAIRS = ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46))
"""Landmarks that are exchanged in a mirror image: the points of the two eyes."""


def mirrored_order() -> np.ndarray:
    """Index (68,) in the original face of each landmark of the mirrored face."""
    order = np.arange(68)
    for first, last in _SWAPPED_RUNS:
        order[first : last + 1] = order[first : last + 1][::-1]
    for a, b in _SWAPPED_PAIRS:
        order[[a, b]] = b, a
    return order


def face_name(subject: int) -> tuple[str, str]:
    """Folder, and name without the number of the view, in the style of the four source data sets."""
    part, number = _PARTS[subject % 4], subject // 4
    name = {
        "AFW": f"AFW_{134212 + 1013 * number}_1",
        "HELEN": f"HELEN_{1051618982 + 100003 * number}_1",
        "IBUG": f"IBUG_image_{1 + number:03d}_1",
        "LFPW": f"LFPW_image_train_{1 + number:04d}",
    }[part]
    return part, name


def mirrored(shot: Shot) -> Shot:
    """The mirror image: left and right are exchanged in the image, in the order of the landmarks and in the pose."""
    view, across = shot.view, np.array([-1.0, 1.0, 1.0])
    flipped = OffCentreView(
        rotation=view.rotation * across[:, None] * across,
        position=view.position * across,
        focal=view.focal,
        size=view.size,
        height=view.height,
        centre=np.array([view.size - view.centre[0], view.centre[1]]),
    )
    x0, y0, x1, y1 = shot.box
    box = np.array([view.size - x1, y0, view.size - x0, y1])
    order = mirrored_order()
    landmarks = (shot.landmarks_head * across)[order]
    return Shot(flipped, shot.light[:, ::-1], box, landmarks, shot.visible[order])


def write_w300lp(path: Path, subjects: int, images: int, seed: int, size: int = 450) -> pd.DataFrame:
    """Write `images` views of each of `subjects` and as many mirror images, `size` pixels square.

    Returns the ground truth, one row per image: the columns of `Shot.truth`, and whether it is `flipped`.
    """
    check_counts(subjects, images, MOST_SUBJECTS, MOST_IMAGES)
    rows = []
    with zip_archive(path) as add:
        add("300W_LP/Code/readme.txt", readme("300W-LP"))
        for number in range(subjects):
            subject = make_posable(_LAYOUT, seed, number)
            part, name = face_name(number)
            poses = PosePrior().draw(stream(_LAYOUT, seed, number, 3), images)
            for index, euler_deg in enumerate(poses[np.argsort(np.abs(poses[:, 0]))]):
                rng = stream(_LAYOUT, seed, number, 2, index)
                shot = subject.random_shot(rng, euler_deg, size)
                pixels = compose(rng, shot.light, draw_background(rng, size))
                fields = face_model_fields(rng, shot.view)
                for flipped, seen in ((False, shot), (True, mirrored(shot))):
                    member = f"300W_LP/{part}{'_Flip' * flipped}/{name}_{index}"
                    add(f"{member}.jpg", jpeg(pixels[:, ::-1] if flipped else pixels))
                    labels = {"pt2d": matlab_points(seen.landmarks).T, **fields, "Pose_Para": pose_para(seen.view)}
                    add(f"{member}.mat", mat_file(labels))
                    rows.append(seen.truth(f"{member}.jpg", name) | {"flipped": flipped})
                points = matlab_points(shot.landmarks)
                add(f"300W_LP/landmarks/{part}/{name}_{index}_pts.mat", mat_file({"pts_2d": points, "pts_3d": points}))
    return pd.DataFrame(rows)
