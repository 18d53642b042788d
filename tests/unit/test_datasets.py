"""Official layouts, read from archives made here; and the real ones, where they are."""

import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.datasets.biwi import Biwi
from pipeline_steps.errors import UserError
from pipeline_steps.pose.geometry import matrix_to_euler


def literature_euler(matrix: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll in degrees of pose.txt's matrix, as Hopenet, FSA-Net and 6DRepNet compute them."""
    a = matrix.T
    roll = -np.arctan2(a[1, 0], a[0, 0])
    yaw = -np.arctan2(-a[2, 0], np.hypot(a[2, 1], a[2, 2]))
    pitch = np.arctan2(a[2, 1], a[2, 2])
    return np.degrees([yaw, pitch, roll])


def make_biwi(root: Path, calibrated: bool) -> list[np.ndarray]:
    rotations = []
    for recording in ("01", "02", "21"):
        folder = root / "hpdb" / recording
        folder.mkdir(parents=True)
        if calibrated:
            (folder / "rgb.cal").write_text(
                "500 0 320\n0 500 240\n0 0 1\n\n0 0 0 0\n\n1 0 0\n0 1 0\n0 0 1\n\n-25 0 0\n\n640 480\n"
            )
        for frame in range(2):
            matrix = Rotation.random(random_state=len(rotations)).as_matrix()
            matrix = Rotation.from_rotvec(0.3 * Rotation.from_matrix(matrix).as_rotvec()).as_matrix()
            rotations.append(matrix)
            rows = "\n".join(" ".join(f"{v:.8f}" for v in row) for row in matrix)
            (folder / f"frame_{frame:05d}_pose.txt").write_text(f"{rows}\n\n25 50 1000\n")
            Image.new("RGB", (640, 480)).save(folder / f"frame_{frame:05d}_rgb.png")
            (folder / f"frame_{frame:05d}_depth.bin").write_bytes(b"depth")
    return rotations


def acquired(source, raw: Path, archive: Path):
    raw.mkdir()
    source.acquire(raw, archive)
    return list(source.samples(raw))


def test_biwi_reads_its_official_archive(tmp_path):
    rotations = make_biwi(tmp_path, calibrated=True)
    with tarfile.open(tmp_path / "biwi.tgz", "w:gz") as archive:
        archive.add(tmp_path / "hpdb", "hpdb")
    samples = acquired(Biwi(), tmp_path / "raw", tmp_path / "biwi.tgz")
    assert [s.source_id for s in samples[:3]] == ["01/frame_00000", "01/frame_00001", "02/frame_00000"]
    assert [s.subject for s in samples] == ["01", "01", *["02_21"] * 4], "recorded twice: one person"
    for sample, matrix in zip(samples, rotations, strict=True):
        np.testing.assert_allclose(matrix_to_euler(sample.rotation), literature_euler(matrix), atol=1e-4)
        # (25 - 25, 50, 1000) mm through focal length 500: the centre (320, 265), 120 mm are 60 pixels
        np.testing.assert_allclose(sample.box, [260, 205, 380, 325], atol=1e-6)
    assert not list((tmp_path / "raw").rglob("*.bin")), "depth maps stay in the archive"


def test_biwi_reads_a_folder_of_crops_without_calibration(tmp_path):
    make_biwi(tmp_path, calibrated=False)
    (tmp_path / "hpdb" / "01" / "frame_00001_pose.txt").write_text("1 0 0\n0 1")
    samples = acquired(Biwi(), tmp_path / "raw", tmp_path / "hpdb")
    assert len(samples) == 6
    assert samples[0].box is None
    assert np.isnan(samples[1].rotation).all(), "a broken label is yielded, to be rejected by name"


def make_aflw2000(path: Path, name: str = "image00002") -> None:
    folder = path.parent / "AFLW2000"
    folder.mkdir()
    Image.new("RGB", (450, 450)).save(folder / f"{name}.jpg")
    landmarks = np.zeros((3, 68))
    landmarks[0], landmarks[1] = np.linspace(100, 300, 68), np.linspace(150, 350, 68)
    pose = np.array([[0.1, -0.5, 0.2, 0, 0, 0, 1]])
    savemat(folder / f"{name}.mat", {"Pose_Para": pose, "pt3d_68": landmarks, "pt2d": -np.ones((2, 21))})
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"AFLW2000/{file.name}")
        archive.writestr("AFLW2000/Code/readme.txt", "no image")


def test_aflw2000_reads_its_official_archive(tmp_path):
    make_aflw2000(tmp_path / "AFLW2000-3D.zip")
    (sample,) = acquired(Aflw2000(), tmp_path / "raw", tmp_path / "AFLW2000-3D.zip")
    np.testing.assert_allclose(sample.euler_deg, np.degrees([-0.5, 0.1, 0.2]))
    np.testing.assert_allclose(matrix_to_euler(sample.rotation), sample.euler_deg, atol=1e-9)
    assert sample.landmarks[0].tolist() == [100, 150]
    assert not (tmp_path / "raw" / "unpacked" / "AFLW2000" / "Code").exists()


def test_a_truncated_archive_is_named_and_refused(tmp_path):
    make_biwi(tmp_path, calibrated=False)
    whole = tmp_path / "biwi.tgz"
    with tarfile.open(whole, "w:gz") as archive:
        archive.add(tmp_path / "hpdb", "hpdb")
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(UserError, match=r"biwi.tgz: the archive is cut off or corrupt"):
        acquired(Biwi(), tmp_path / "raw", whole)


def test_an_archive_of_something_else_is_refused(tmp_path):
    make_aflw2000(tmp_path / "AFLW2000-3D.zip")
    with pytest.raises(UserError, match="holds none of the files"):
        acquired(Biwi(), tmp_path / "raw", tmp_path / "AFLW2000-3D.zip")
    (tmp_path / "page.zip").write_text("<html>404</html>")
    with pytest.raises(UserError, match="neither a zip nor a tar archive"):
        acquired(Biwi(), tmp_path / "raw2", tmp_path / "page.zip")


def test_an_archive_cannot_write_outside_its_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../image00001.jpg", "x")
    with pytest.raises(UserError, match="outside the folder"):
        acquired(Aflw2000(), tmp_path / "raw", tmp_path / "evil.zip")


REAL = pytest.mark.skipif("HEADPOSE_REAL_DATA" not in os.environ, reason="HEADPOSE_REAL_DATA is not set")


@REAL
@pytest.mark.realdata
def test_real_aflw2000_angles_agree_with_the_fitted_faces(tmp_path):
    """The rotation from Pose_Para turns a frontal face as `pt3d_68` shows it (Procrustes fit to the mean face)."""
    from scipy.io import loadmat

    samples = acquired(Aflw2000(), tmp_path / "raw", Path(os.environ["HEADPOSE_REAL_DATA"]) / "aflw2000_dev300.tar.gz")
    assert len(samples) == 300
    kept = [s for s in samples if (np.abs(s.euler_deg) <= 99).all()]
    shapes = []
    for sample in kept:
        points = loadmat(sample.image.with_suffix(".mat"))["pt3d_68"].T * [1, -1, 1]  # y up
        points = points - points.mean(0)
        shapes.append(points / np.linalg.norm(points))
    frontal = np.mean([p @ s.rotation for p, s in zip(shapes, kept, strict=True)], axis=0)
    errors = []
    for points, sample in zip(shapes, kept, strict=True):
        fitted, _ = Rotation.align_vectors(points, frontal)
        errors.append(np.degrees((fitted.inv() * Rotation.from_matrix(sample.rotation)).magnitude()))
    assert np.median(errors) < 3


@REAL
@pytest.mark.realdata
def test_real_biwi_has_20_people_in_24_recordings(tmp_path):
    samples = acquired(Biwi(), tmp_path / "raw", Path(os.environ["HEADPOSE_REAL_DATA"]) / "biwi_face_crops.tar.gz")
    assert len(samples) == 14344
    assert len({s.subject for s in samples}) == 20
    assert len({s.source_id.split("/")[0] for s in samples}) == 24
    yaw, pitch, roll = np.abs([matrix_to_euler(s.rotation) for s in samples]).max(0)
    assert 60 < yaw < 90
    assert 45 < pitch < 90
    assert roll < 75
