"""Pointing'04, the Head Pose Image Database: people who look at markers in a room, in two series each.

Gourier, Hall, Crowley: Estimating Face Orientation from Robust Detection of Salient Facial Features, Pointing 2004.
Members, as in the official HeadPoseImageDatabase.tar.gz: `PersonPP/personPPSNN{tilt}{pan}.jpg` (384 x 288) for person
PP, series S and pose number NN of 93, each with a `.txt` file; `Front/personnePPS46+0+0.jpg` repeats frontal images.
The official poses with a tilt of +-90 degrees (numbers 00 and 92) are beyond the renderer's limits.

Known from the official page: the names; tilt -90 looks at the floor, +90 at the ceiling; people sat 2 m away and looked
at markers all over a half-sphere; the seven lines of `.txt` start with the image's name and end with centre x, centre
y, width and height in pixels. Measured by others: a positive pan turns the face to the image's left. Assumed here: the
second of the seven lines is blank and the third is `Face`; pan rotates about the vertical axis and tilt about the axis
through the ears, as the position of a marker on a sphere suggests (so that pan and tilt differ from yaw and pitch of
300W-LP where both are large, see `rotation_of`); the rectangle contains the head without hair and neck. There is no
roll.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from pipeline_steps.rendering.compositing import compose, draw_background
from pipeline_steps.rendering.scenes import draw_expression, draw_light
from stand_ins.archives import tar_archive
from stand_ins.camera import OffCentreView, PosableSubject, Shot, check_counts, jpeg, make_posable, stream

TILTS, PANS = (-60, -30, -15, 0, 15, 30, 60), tuple(range(-90, 91, 15))
POSES = {1 + i: (tilt, pan) for i, (tilt, pan) in enumerate((tilt, pan) for tilt in TILTS for pan in PANS)}
"""Tilt and pan in degrees by the official number of the pose."""

MOST_SUBJECTS, MOST_IMAGES = 15, len(POSES)
_FRONTAL = 46
_LAYOUT = "pointing04"
_DISTANCE = 2.0  # metres
_NOSE_TO_CENTRE = np.array([0.0, 0.04, -0.1])  # metres, from the tip of the nose to the centre of the skull
_NECK_YAW, _NECK_PITCH = 65, 35  # degrees by which the head turns before the shoulders follow


def write_pointing04(path: Path, subjects: int, images: int, seed: int, size: int = 384) -> pd.DataFrame:
    """Write `images` poses in each of two series of each of `subjects`, `size` pixels wide and three quarters as high.

    The frontal pose is always among them, the others are drawn. Returns the ground truth, one row per image under
    `PersonPP`: the columns of `Shot.truth`, and series, tilt and pan in degrees.
    """
    check_counts(subjects, images, MOST_SUBJECTS, MOST_IMAGES)
    others = [number for number in POSES if number != _FRONTAL]
    rows, frontal = [], []
    with tar_archive(path) as add:
        for person in range(1, subjects + 1):
            subject = make_posable(_LAYOUT, seed, person)
            for series in (1, 2):
                rng = stream(_LAYOUT, seed, person, 3, series)
                background = draw_background(rng, size)[: size * 3 // 4]
                seat = np.append(rng.uniform(-0.08, 0.08, 2), -_DISTANCE)
                for number in sorted([_FRONTAL, *rng.choice(others, images - 1, replace=False)]):
                    rng = stream(_LAYOUT, seed, person, 2, series, number)
                    tilt, pan = POSES[number]
                    shot = _shot(rng, subject, seat, tilt, pan, size)
                    name = f"{person:02d}{series}{number:02d}{tilt:+d}{pan:+d}"
                    content = jpeg(compose(rng, shot.light, background))
                    member = f"Person{person:02d}/person{name}"
                    add(f"{member}.jpg", content)
                    add(f"{member}.txt", face_file(f"person{name}.jpg", shot.box))
                    if number == _FRONTAL:
                        frontal.append((f"Front/personne{name}.jpg", content))
                    label: dict[str, Any] = {"series": series, "tilt": tilt, "pan": pan}
                    rows.append(shot.truth(f"{member}.jpg", f"{person:02d}") | label)
        for member, content in frontal:
            add(member, content)
    return pd.DataFrame(rows)


def rotation_of(tilt: float, pan: float) -> np.ndarray:
    """Rotation (3, 3), project convention, of a head that looks at the marker with this tilt and pan in degrees."""
    return np.asarray(Rotation.from_euler("YX", [-pan, -tilt], degrees=True).as_matrix())


def face_file(image: str, box: np.ndarray) -> bytes:
    """The `.txt` file of an image whose face has this box (4,) in pixels."""
    x0, y0, x1, y1 = np.rint(box).astype(int)
    numbers = ((x0 + x1) // 2, (y0 + y1) // 2, x1 - x0, y1 - y0)
    return "\n".join([image, "", "Face", *map(str, numbers), ""]).encode()


def _shot(rng: np.random.Generator, subject: PosableSubject, seat: np.ndarray, tilt: int, pan: int, size: int) -> Shot:
    rotation = rotation_of(tilt, pan)
    focal = 2.0 * size  # makes the head as high as a quarter of the image's width
    centre = np.array([size / 2, size * 3 / 8])
    position = seat + rng.normal(0, 0.01, 3) - rotation @ (subject.nose_tip + _NOSE_TO_CENTRE)
    view = OffCentreView(rotation, position, focal, size, size * 3 // 4, centre)
    # the chair faces the camera; the shoulders turn and bend only by what the neck cannot
    leaning = tilt - np.clip(tilt, -_NECK_PITCH, _NECK_PITCH)
    turned = pan - np.clip(pan, -_NECK_YAW, _NECK_YAW)
    torso = rotation.T @ rotation_of(leaning, turned)
    posed = subject.pose(draw_expression(rng), np.zeros(2), torso)
    return subject.shoot(posed, view, draw_light(rng, view))
