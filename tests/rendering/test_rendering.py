"""Rendered heads: the labels agree with the images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from pipeline_steps.datasets.rendered import PosePrior, Rendered
from pipeline_steps.rendering.heads import HeadModel, head_model, load_body_model
from pipeline_steps.rendering.meshes import first_hits
from pipeline_steps.rendering.renderer import HeadRenderer
from pipeline_steps.rendering.scenes import View, draw_light, pose_subject, posed_landmarks
from pipeline_steps.rendering.subjects import make_subject

NOSE_TIP, CHIN = 30, 8
POSES = [(0, 0, 0), (35, 0, 0), (-35, 0, 0), (0, 30, 0), (0, 0, 25), (20, -15, 10)]


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return head_model(load_body_model())


def project(points: np.ndarray, euler_deg: np.ndarray, position: np.ndarray, focal: float, size: int) -> np.ndarray:
    """An independent pinhole camera, with SciPy's rotations."""
    yaw, pitch, roll = euler_deg
    rotation = Rotation.from_euler("XYZ", [-pitch, -yaw, -roll], degrees=True)
    camera = rotation.apply(points) + position
    depth = -camera[:, 2]
    return np.stack([size / 2 + focal * camera[:, 0] / depth, size / 2 - focal * camera[:, 1] / depth], 1)


@pytest.mark.parametrize("euler_deg", POSES, ids=str)
def test_the_mesh_is_in_the_image_where_the_label_says(model, euler_deg):
    size, focal, position = 128, 400.0, np.array([0.0, 0.0, -1.2])
    rng = np.random.default_rng(0)
    subject = make_subject(rng, model, model.identity(np.zeros(len(model.identity_shapes))), 0.5, 0.5)
    posed = pose_subject(model, subject, {}, np.zeros(2), np.eye(3))
    yaw, pitch, roll = euler_deg
    rotation = Rotation.from_euler("XYZ", [-pitch, -yaw, -roll], degrees=True).as_matrix()
    view = View(rotation, position, focal, size)
    renderer = HeadRenderer(subject)
    camera = view.camera() | draw_light(rng, view)
    covered = renderer.render(posed, camera)[..., 3] > 0.5
    pixels = project(posed, np.array(euler_deg), position, focal, size)
    inside = ((pixels > 0) & (pixels < size)).all(1)
    # the silhouette contains the projected vertices, and is as high and wide as they are
    assert covered[tuple(pixels[inside].astype(int).T[::-1])].mean() > 0.97
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    used = np.intersect1d(np.unique(subject.faces), np.flatnonzero(inside))
    low, high = pixels[used].min(0), pixels[used].max(0)
    assert np.abs([columns[0], rows[0]] - low).max() < 3
    assert np.abs([columns[-1] + 1, rows[-1] + 1] - high).max() < 3
    np.testing.assert_allclose(
        view.project(posed_landmarks(model, posed)),
        project(posed_landmarks(model, posed), np.array(euler_deg), position, focal, size),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("position", "reaches_behind"), [((0, 0, -0.9), False), ((0.1, 0.05, -0.16), False), ((0, 0.1, -0.02), True)]
)
def test_a_pixel_is_covered_where_its_ray_meets_the_mesh(model, position, reaches_behind):
    size = 64
    subject = make_subject(
        np.random.default_rng(0), model, model.identity(np.zeros(len(model.identity_shapes))), 0.5, 0.5
    )
    posed = pose_subject(model, subject, {}, np.zeros(2), np.eye(3))
    rotation = Rotation.from_euler("XYZ", [20, -30, 5], degrees=True).as_matrix()
    view = View(rotation, np.array(position, float), 60.0, size)
    renderer = HeadRenderer(subject)
    covered = renderer.render(posed, view.camera() | draw_light(np.random.default_rng(0), view))[..., 3]
    rows, columns = np.mgrid[:size, :size]
    toward = np.stack([columns.ravel() + 0.5 - size / 2, size / 2 - rows.ravel() - 0.5, np.full(size**2, -60.0)], -1)
    directions = toward @ rotation / np.linalg.norm(toward, axis=1, keepdims=True)
    met = first_hits(posed, subject.faces, np.tile(-view.position @ rotation, (size**2, 1)), directions) >= 0
    assert ((posed @ rotation.T + position)[:, 2].max() > 0) == reaches_behind
    assert met.any()
    assert (covered.ravel().astype(bool) == met).mean() > 0.999


def test_the_nose_points_where_the_angles_say(model):
    def nose(euler_deg):
        vertices = model.identity(np.zeros(len(model.identity_shapes)))
        points = vertices[model.landmark_ids].mean(1)
        pixels = project(points, np.array(euler_deg, float), np.array([0, 0, -1.5]), 400.0, 128)
        return pixels[NOSE_TIP] - pixels[[36, 45]].mean(0)

    straight = nose([0, 0, 0])
    assert nose([35, 0, 0])[0] < straight[0] - 5, "+yaw looks to the image's left"
    assert nose([0, 30, 0])[1] < straight[1] - 3, "+pitch looks up"
    assert nose([0, 0, 30])[0] < straight[0] - 3, "+roll tilts the crown right, so the nose swings left of the eyes"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rendered, Path]:
    source = Rendered(subjects=2, images_per_subject=3, image_size=48, seed=5)
    folder = tmp_path_factory.mktemp("rendered")
    source.acquire(folder)
    return source, folder


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(rendered, tmp_path):
    source, folder = rendered
    source.acquire(tmp_path, processes=2)
    for file in sorted(folder.rglob("*.jpg")):
        assert file.read_bytes() == (tmp_path / file.relative_to(folder)).read_bytes()
    pd.testing.assert_frame_equal(
        pd.read_parquet(folder / "labels.parquet"), pd.read_parquet(tmp_path / "labels.parquet")
    )


def test_samples_have_pose_subject_box_and_landmarks(rendered):
    source, folder = rendered
    entries = list(source.entries(folder))
    samples = [source.read(entry) for entry in entries]
    assert [s.subject for s in samples] == ["00000"] * 3 + ["00001"] * 3
    for entry, sample in zip(entries, samples, strict=True):
        assert np.allclose(sample.rotation @ sample.rotation.T, np.eye(3))
        assert Image.open(entry.image).size == (48, 48)
        x0, y0, x1, y1 = sample.given_box
        assert x0 < sample.landmarks[NOSE_TIP, 0] < x1
        assert y0 < sample.landmarks[CHIN, 1] <= y1 + 1


def test_poses_keep_to_their_limits_and_do_not_depend_on_their_number():
    poses = PosePrior().draw(np.random.default_rng(0), 2000)
    assert (np.abs(poses) <= [90, 60, 45]).all()
    assert np.ptp(poses[:, 0]) > 150
    assert poses[:, 1].mean() < -2, "people look down rather than up"
    np.testing.assert_array_equal(PosePrior().draw(np.random.default_rng(0), 10), poses[:10])
