"""Official layouts, read from archives created by the tests: what is read, and what is refused."""

import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from pipeline_steps.datasets.aflw2000 import Aflw2000
from pipeline_steps.datasets.base import Sample
from pipeline_steps.datasets.biwi import Biwi
from pipeline_steps.datasets.dad3dheads import Dad3dHeads
from pipeline_steps.datasets.image_folder import ImageFolder
from pipeline_steps.datasets.pointing04 import Pointing04
from pipeline_steps.datasets.w300lp import W300Lp
from pipeline_steps.job.errors import UserError
from pipeline_steps.pose.geometry import matrix_to_euler


def acquired(source, raw: Path, archive: Path) -> dict[str, Sample]:
    """Every sample by its source id."""
    raw.mkdir()
    source.acquire(raw, archive)
    return {entry.source_id: source.read(entry) for entry in source.entries(raw)}


def reasons(source, raw: Path, archive: Path) -> dict[str, str]:
    """The reason why each label cannot be read, by source id."""
    raw.mkdir()
    source.acquire(raw, archive)
    found = {}
    for entry in source.entries(raw):
        with pytest.raises((ValueError, OSError)) as error:
            source.read(entry)
        found[entry.source_id] = str(error.value)
    return found


def scipy_matrix(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """R = Rx Ry Rz of 300W-LP from angles in degrees: SciPy's intrinsic XYZ with every sign inverted."""
    return Rotation.from_euler("XYZ", [-pitch, -yaw, -roll], degrees=True).as_matrix()


# BIWI


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


def test_biwi_reads_its_official_archive(tmp_path):
    rotations = make_biwi(tmp_path, calibrated=True)
    with tarfile.open(tmp_path / "biwi.tgz", "w:gz") as archive:
        archive.add(tmp_path / "hpdb", "hpdb")
    samples = acquired(Biwi(), tmp_path / "raw", tmp_path / "biwi.tgz")
    assert list(samples)[:3] == ["01/frame_00000", "01/frame_00001", "02/frame_00000"]
    assert [s.subject for s in samples.values()] == ["01", "01", *["02_21"] * 4], "two recordings of one subject"
    for sample, matrix in zip(samples.values(), rotations, strict=True):
        np.testing.assert_allclose(matrix_to_euler(sample.rotation), literature_euler(matrix), atol=1e-4)
        # (25 - 25, 50, 1000) mm through focal length 500: the centre (320, 265), 120 mm are 60 pixels
        np.testing.assert_allclose(sample.projected_head, [260, 205, 380, 325], atol=1e-6)
    assert not list((tmp_path / "raw").rglob("*.bin")), "depth maps stay in the archive"


def test_biwi_labels_about_the_view_ray(tmp_path):
    """The head centre is (25, 50, 1000) mm from the depth camera, (0, 50, 1000) from the calibrated colour camera."""
    published = make_biwi(tmp_path / "frames", calibrated=True)
    make_biwi(tmp_path / "crops", calibrated=False)
    axis, distance = np.array([-50.0, -25.0, 0.0]), np.hypot(25, 50)
    looking = {  # rotation of a head that looks at the camera; its nose is along (0, 50, 1000) and (-25, 50, 1000)
        "frames": scipy_matrix(0, np.degrees(np.arctan(50 / 1000)), 0),
        "crops": Rotation.from_rotvec(axis / distance * np.arctan(distance / 1000)).as_matrix(),
    }
    np.testing.assert_allclose(looking["crops"][:, 2] / looking["crops"][2, 2], [-0.025, 0.05, 1])
    for copy, frontal in looking.items():
        samples = acquired(Biwi(labels="view_ray"), tmp_path / f"raw_{copy}", tmp_path / copy / "hpdb")
        for sample, matrix in zip(samples.values(), published, strict=True):
            label = scipy_matrix(*literature_euler(matrix))
            np.testing.assert_allclose(frontal @ sample.rotation, label, atol=1e-6)


def test_a_colour_camera_that_is_turned_sees_biwi_heads_from_the_same_side(tmp_path):
    """Turned by 10 degrees about its own centre, which is that of the depth camera; the head looks at both."""
    make_biwi(tmp_path, calibrated=True)
    for camera in (tmp_path / "hpdb").glob("*/rgb.cal"):
        rows = "\n".join(" ".join(f"{v:.8f}" for v in row) for row in turn(1, 10))
        camera.write_text(camera.read_text().replace("1 0 0\n0 1 0\n0 0 1\n\n-25 0 0", f"{rows}\n\n0 0 0"))
    for pose in (tmp_path / "hpdb").rglob("*_pose.txt"):
        pose.write_text("1 0 0\n0 1 0\n0 0 1\n\n0 0 1000\n")
    for sample in acquired(Biwi(labels="view_ray"), tmp_path / "raw", tmp_path / "hpdb").values():
        np.testing.assert_allclose(sample.rotation, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(sample.projected_head[[0, 2]].mean(), 320 + 500 * np.tan(np.radians(10)))


def test_biwi_labels_about_the_view_ray_need_a_head_in_front_of_the_camera(tmp_path):
    make_biwi(tmp_path, calibrated=False)
    for pose in sorted((tmp_path / "hpdb").rglob("*_pose.txt")):
        pose.write_text(pose.read_text().replace("25 50 1000", "0 0 0"))
    found = reasons(Biwi(labels="view_ray"), tmp_path / "raw", tmp_path / "hpdb")
    assert len(found) == 6
    assert set(found.values()) == {"the head centre [0.0, 0.0, 0.0] is not before the camera; use `labels: camera`"}
    assert len(acquired(Biwi(), tmp_path / "raw2", tmp_path / "hpdb")) == 6


def test_biwi_reads_a_folder_of_crops_without_calibration(tmp_path):
    make_biwi(tmp_path, calibrated=False)
    samples = acquired(Biwi(), tmp_path / "raw", tmp_path / "hpdb")
    assert len(samples) == 6
    assert samples["01/frame_00000"].projected_head is None


def test_broken_poses_of_biwi_are_named(tmp_path):
    make_biwi(tmp_path, calibrated=False)
    contents = ["1 0 0\n0 1", "1 0 0\n0 1 0\n0 0 one\n\n0 0 9", "", "1 0 0\n0 1 0\n0 0 1\n\n0 0 900 7", "\0\1", None]
    poses = sorted((tmp_path / "hpdb").rglob("*_pose.txt"))
    for pose, content in zip(poses, contents, strict=True):
        pose.unlink() if content is None else pose.write_text(content)
    found = reasons(Biwi(), tmp_path / "raw", tmp_path / "hpdb")
    assert [found[f"{p.parent.name}/{p.name.removesuffix('_pose.txt')}"] for p in poses] == [
        "frame_00000_pose.txt has 5 numbers, expected 12",
        "frame_00001_pose.txt does not consist of numbers (could not convert string to float: 'one')",
        "frame_00000_pose.txt has 0 numbers, expected 12",
        "frame_00001_pose.txt has 13 numbers, expected 12",
        "frame_00000_pose.txt does not consist of numbers (could not convert string to float: '\\x00\\x01')",
        "frame_00001_pose.txt is missing",
    ]


def test_a_broken_calibration_of_biwi_stops_the_step(tmp_path):
    make_biwi(tmp_path, calibrated=True)
    (tmp_path / "hpdb/02/rgb.cal").write_text("500 0 320")
    with pytest.raises(UserError, match=r"02/rgb.cal: not a BIWI calibration"):
        acquired(Biwi(), tmp_path / "raw", tmp_path / "hpdb")


def turn(axis: int, degrees: float) -> np.ndarray:
    """Right-handed rotation about x, y or z, element by element."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = [i for i in range(3) if i != axis]
    matrix = np.eye(3)
    matrix[[a, b], [a, b]] = c
    matrix[a, b], matrix[b, a] = (s, -s) if axis == 1 else (-s, s)
    return matrix


def split_biwi(root: Path) -> Path:
    """The copy in circulation: frames in faces_0, and in db_annotations their poses as centre and Euler angles."""
    for pose in (root / "hpdb").rglob("*_pose.txt"):
        numbers = np.array(pose.read_text().split(), float)
        r = numbers[:9].reshape(3, 3)
        angles = np.degrees([np.arctan2(r[2, 1], r[2, 2]), -np.arcsin(r[2, 0]), np.arctan2(r[1, 0], r[0, 0])])
        np.testing.assert_allclose(turn(2, angles[2]) @ turn(1, angles[1]) @ turn(0, angles[0]), r, atol=1e-6)
        target = root / "copy/db_annotations" / pose.parent.name / pose.name.replace(".txt", ".bin")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(struct.pack("<6f", *numbers[9:], *angles))
        pose.unlink()
    (root / "hpdb").rename(root / "copy/faces_0")
    masks = root / "copy/head_pose_masks/01"
    masks.mkdir(parents=True)
    Image.new("L", (640, 480)).save(masks / "frame_00000_depth_mask.png")
    return root / "copy"


@pytest.mark.parametrize("packed", [True, False])
def test_biwi_reads_the_copy_in_circulation_with_poses_in_a_folder_of_their_own(tmp_path, packed):
    make_biwi(tmp_path / "set", calibrated=True)
    expected = acquired(Biwi(), tmp_path / "raw1", tmp_path / "set/hpdb")
    folder = split_biwi(tmp_path / "set")
    samples = acquired(Biwi(), tmp_path / "raw2", zipped(folder, tmp_path / "copy.zip") if packed else folder)
    assert list(samples) == list(expected)
    for name, sample in samples.items():
        assert sample.subject == expected[name].subject
        np.testing.assert_allclose(sample.rotation, expected[name].rotation, atol=1e-6)
        np.testing.assert_allclose(sample.projected_head, expected[name].projected_head, atol=1e-3)


def test_broken_binary_poses_of_biwi_are_named(tmp_path):
    make_biwi(tmp_path, calibrated=False)
    folder = split_biwi(tmp_path)
    poses = sorted(folder.rglob("*_pose.bin"))
    poses[0].write_bytes(b"\0" * 23)
    poses[1].write_bytes(struct.pack("<6f", 0, 0, 900, np.nan, 0, 0))
    for pose in poses[2:]:
        pose.unlink()
    assert list(reasons(Biwi(), tmp_path / "raw", folder).values()) == [
        "frame_00000_pose.bin has 23 bytes, expected 24, which are 6 numbers",
        "frame_00001_pose.bin contains NaN or infinity",
    ]


# AFLW2000-3D and 300W-LP

POSE = np.array([[0.1, -0.5, 0.2, 0, 0, 0, 1]])  # pitch, yaw, roll in radians
LANDMARKS = np.stack([np.linspace(100, 300, 68), np.linspace(150, 350, 68), np.zeros(68)])


def make_view(folder: Path, name: str, **fields: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (450, 450)).save(folder / f"{name}.jpg")
    savemat(folder / f"{name}.mat", {"Pose_Para": POSE} | fields)


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def test_aflw2000_reads_its_official_archive(tmp_path):
    make_view(tmp_path / "AFLW2000", "image00002", pt3d_68=LANDMARKS, pt2d=-np.ones((2, 21)))
    (tmp_path / "AFLW2000/Code").mkdir()
    (tmp_path / "AFLW2000/Code/readme.txt").write_text("no image")
    archive = zipped(tmp_path / "AFLW2000", tmp_path / "AFLW2000-3D.zip")
    samples = acquired(Aflw2000(), tmp_path / "raw", archive)
    assert list(samples) == ["image00002"]
    sample = samples["image00002"]
    np.testing.assert_allclose(sample.euler_deg, np.degrees([-0.5, 0.1, 0.2]))
    np.testing.assert_allclose(sample.rotation, scipy_matrix(*np.degrees([-0.5, 0.1, 0.2])), atol=1e-12)
    assert sample.landmarks[0].tolist() == [100, 150]
    assert not list((tmp_path / "raw").rglob("Code"))


@pytest.mark.parametrize("top", ["300W_LP", ""])
def test_300w_lp_reads_its_official_archive_and_keeps_the_views_of_a_face_together(tmp_path, top):
    root = tmp_path / "archive" / "300W_LP"
    names = {
        "AFW": "AFW_134212_1",
        "HELEN": "HELEN_10405146_1_0",
        "IBUG": "IBUG_image_008_1",
        "LFPW": "LFPW_image_test_0001",
    }
    for part, name in names.items():
        for view in (0, 3):
            make_view(root / part, f"{name}_{view}", pt2d=LANDMARKS[:2])
            make_view(root / f"{part}_Flip", f"{name}_{view}", pt2d=LANDMARKS[:2])
    make_view(root / "landmarks/AFW", "AFW_134212_1_0", pts_2d=LANDMARKS[:2].T)
    (root / "landmarks/AFW/AFW_134212_1_0_pts.mat").write_bytes(b"not read")
    (root / "Code").mkdir()
    (root / "Code/main.m").write_text("% not read")
    archive = zipped(root, tmp_path / "300W-LP.zip") if top else root
    samples = acquired(W300Lp(), tmp_path / "raw", archive)
    assert len(samples) == 16
    assert set(samples) >= {"AFW/AFW_134212_1_0", "LFPW_Flip/LFPW_image_test_0001_3"}
    assert {s.subject for s in samples.values()} == set(names.values())
    sample = samples["IBUG/IBUG_image_008_1_3"]
    np.testing.assert_allclose(sample.rotation, scipy_matrix(*np.degrees([-0.5, 0.1, 0.2])), atol=1e-12)
    np.testing.assert_allclose(sample.landmarks, LANDMARKS[:2].T)
    straight = acquired(W300Lp(mirrored=False), tmp_path / "raw2", archive)
    assert len(straight) == 8
    assert not any("_Flip" in name for name in straight)


def test_a_mirror_image_of_300w_lp_keeps_its_own_label_and_its_subject(tmp_path):
    """The angles of a real pair, whose labels are no mirror images of each other, and such landmarks."""
    for part, pose, shift in (("HELEN", [0.077, 0.27, -0.34], 0), ("HELEN_Flip", [0.019, -0.245, 0.36], 7)):
        make_view(tmp_path / part, "HELEN_212515672_1_3", pt2d=LANDMARKS[:2] + shift, Pose_Para=np.array([pose]))
    original, mirrored = acquired(W300Lp(), tmp_path / "raw", tmp_path).values()
    np.testing.assert_allclose(original.euler_deg, np.degrees([0.27, 0.077, -0.34]))
    np.testing.assert_allclose(mirrored.euler_deg, np.degrees([-0.245, 0.019, 0.36]))
    np.testing.assert_allclose(mirrored.rotation, scipy_matrix(*mirrored.euler_deg), atol=1e-12)
    np.testing.assert_allclose(mirrored.landmarks, original.landmarks + 7)
    assert original.subject == mirrored.subject == "HELEN_212515672_1"


def test_broken_annotations_are_named(tmp_path):
    folder = tmp_path / "AFLW2000"
    good = {"pt3d_68": LANDMARKS}
    make_view(folder, "image00001", **good, Pose_Para=np.full((1, 7), np.nan))
    make_view(folder, "image00002", **good, Pose_Para=np.zeros((1, 2)))
    make_view(folder, "image00003", Pose_Para=POSE)
    make_view(folder, "image00004", pt3d_68=np.full((3, 68), np.inf))
    make_view(folder, "image00005", **good, Pose_Para=np.array([["a", "b", "c"]]))
    for name, content in (("image00006", b"no mat file"), ("image00007", b""), ("image00008", None)):
        make_view(folder, name, **good)
        path = folder / f"{name}.mat"
        path.unlink() if content is None else path.write_bytes(content)
    savemat(folder / "image00009.mat", good)
    Image.new("RGB", (450, 450)).save(folder / "image00009.jpg")
    make_view(folder, "image00010", **good)
    intact = (folder / "image00010.mat").read_bytes()
    (folder / "image00010.mat").write_bytes(intact[: len(intact) // 2])
    found = reasons(Aflw2000(), tmp_path / "raw", folder)
    assert found["image00001"] == "image00001.mat: Pose_Para contains NaN or infinity"
    assert found["image00002"] == "image00002.mat: Pose_Para has shape (1, 2), expected (1, 3) numbers"
    assert found["image00003"] == "image00003.mat has no pt3d_68"
    assert found["image00004"] == "image00004.mat: pt3d_68 contains NaN or infinity"
    assert found["image00005"].startswith("image00005.mat: Pose_Para has shape")
    assert found["image00008"] == "image00008.mat is missing"
    assert found["image00009"] == "image00009.mat has no Pose_Para"
    for name in ("image00006", "image00007", "image00010"):
        assert found[name].startswith(f"{name}.mat is not a readable .mat file"), found[name]


def test_hidden_landmarks_are_unknown_and_too_few_known_ones_are_named(tmp_path):
    hidden = LANDMARKS[:2].copy()
    hidden[:, ::7] = -1
    hidden[:, 5] = -1, 452
    half = LANDMARKS[:2].copy()
    half[:, :35] = -1
    make_view(tmp_path / "set/AFW", "AFW_1_0", pt2d=hidden)
    make_view(tmp_path / "set/AFW_Flip", "AFW_1_0", pt2d=LANDMARKS[:2])
    samples = acquired(W300Lp(), tmp_path / "raw", tmp_path / "set")
    unknown = np.isnan(samples["AFW/AFW_1_0"].landmarks).all(1)
    assert np.flatnonzero(unknown).tolist() == sorted([*range(0, 68, 7), 5])
    assert (samples["AFW/AFW_1_0"].mirror_of, samples["AFW_Flip/AFW_1_0"].mirror_of) == ("", "AFW/AFW_1_0")
    make_view(tmp_path / "other/AFW", "AFW_1_0", pt2d=half)
    found = reasons(W300Lp(), tmp_path / "raw2", tmp_path / "other")
    assert found["AFW/AFW_1_0"] == "AFW_1_0.mat: pt2d has 33 of 68 landmarks, the others are hidden (-1)"


@pytest.mark.parametrize("source", [Aflw2000(), W300Lp(), Pointing04(), ImageFolder(labels=None)], ids=lambda s: s.kind)
def test_what_macos_adds_to_a_folder_is_no_image(tmp_path, source):
    make_view(tmp_path / "aflw2000/AFLW2000", "image00002", pt3d_68=LANDMARKS)
    make_view(tmp_path / "w300lp/AFW", "AFW_1_0", pt2d=LANDMARKS[:2])
    make_pointing04(tmp_path / "pointing04", ["person01146+0+0"])
    folder_with(tmp_path, None, "1.png").rename(tmp_path / "image_folder")
    folder = tmp_path / source.kind
    for path in sorted(folder.rglob("*.*")):
        for place in (path.parent, folder / "__MACOSX" / path.parent.relative_to(folder)):
            place.mkdir(parents=True, exist_ok=True)
            (place / f"._{path.name}").write_bytes(b"Mac OS X")
    assert len(acquired(source, tmp_path / "raw", folder)) == 1
    assert len(acquired(source, tmp_path / "raw2", zipped(folder, tmp_path / "a.zip"))) == 1


@pytest.mark.parametrize(
    "source", [Aflw2000(), W300Lp(), Biwi(), Pointing04(), Dad3dHeads(), ImageFolder(labels=None)], ids=lambda s: s.kind
)
def test_a_folder_of_something_else_is_refused(tmp_path, source):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/readme.txt").write_text("x")
    raw = tmp_path / "raw"
    raw.mkdir()
    source.acquire(raw, tmp_path / "folder")
    if source.kind == "image_folder":
        assert not list(source.entries(raw))
        return
    with pytest.raises(UserError, match="it does not have the layout of"):
        list(source.entries(raw))


# Pointing'04


def make_pointing04(folder: Path, names: list[str], box: str = "Face\n\n190\n140\n80\n100") -> Path:
    for name in names:
        subject = folder / f"Person{name.removeprefix('personne').removeprefix('person')[:2]}"
        subject.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (384, 288)).save(subject / f"{name}.jpg")
        (subject / f"{name}.txt").write_text(f"{name}.jpg\n{box}\n")
    return folder


def test_pointing04_reads_pan_tilt_and_face(tmp_path):
    names = ["person08123-30+45", "person01100-90+0", "person01292+90+0", "personne02146+0+0", "person02191+60+90"]
    folder = make_pointing04(tmp_path / "set", [*names[:2], *names[3:]])
    make_pointing04(folder, names[2:3], "\nFace\n190\n140\n80\n100")
    (folder / "Front").mkdir()
    Image.new("RGB", (384, 288)).save(folder / "Front/person01146+0+0.jpg")
    with tarfile.open(tmp_path / "HeadPoseImageDatabase.tar.gz", "w:gz") as archive:
        archive.add(folder, "")
    samples = acquired(Pointing04(), tmp_path / "raw", tmp_path / "HeadPoseImageDatabase.tar.gz")
    assert {name.split("/")[1] for name in samples} == set(names)
    assert len({s.subject for s in samples.values()}) == 3
    sample = samples["Person08/person08123-30+45"]
    assert sample.rotation is None
    np.testing.assert_array_equal(sample.euler_deg, [45, -30, np.nan])
    for sample in samples.values():
        np.testing.assert_allclose(sample.given_box, [150, 90, 230, 190])


def test_broken_files_of_pointing04_are_named(tmp_path):
    folder = make_pointing04(tmp_path / "set", ["person01107-60+0", "person01146+0+0", "person01120-30+0"])
    make_pointing04(folder, ["person01199+0+0"])
    (folder / "Person01/person01146+0+0.txt").write_text("person01146+0+0.jpg\nFace\n190\n140\n80\n")
    (folder / "Person01/person01120-30+0.txt").unlink()
    raw = tmp_path / "raw"
    raw.mkdir()
    Pointing04().acquire(raw, folder)
    errors = {}
    for entry in Pointing04().entries(raw):
        try:
            Pointing04().read(entry)
        except ValueError as error:
            errors[entry.image.stem] = str(error)
    assert "not an image name, `Face` and four numbers" in errors["person01146+0+0"]
    assert errors["person01120-30+0"] == "person01120-30+0.txt is missing"
    assert "number 99 is not tilt +0, pan +0" in errors["person01199+0+0"]
    assert "person01107-60+0" not in errors


# DAD-3DHeads


def make_dad3dheads(folder: Path, annotations: dict[str, object]) -> Path:
    root = folder / "DAD-3DHeadsDataset/val"
    for name, annotation in annotations.items():
        for place in ("images", "annotations"):
            (root / place).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 80)).save(root / f"images/{name}.png")
        (root / f"annotations/{name}.json").write_text(json.dumps(annotation))
    index = [{"item_id": name, "bbox": [10, 20, 30, 40], "attributes": {}} for name in annotations]
    (root / "val.json").write_text(json.dumps(index))
    return folder / "DAD-3DHeadsDataset"


def official_rpy(model_view: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll in degrees as benchmark.py and calculate_rpy of PinataFarms/DAD-3DHeads compute them."""
    turned = (np.diag([1.0, -1, -1, 1]) @ model_view)[:3, :3]
    x, y, z = Rotation.from_matrix(turned.T).as_euler("xyz", degrees=True)
    return (np.array([y, x - 180, z]) + 180) % 360 - 180


def test_dad3dheads_reads_the_model_view_matrix(tmp_path):
    matrices = {}
    for n, angles in enumerate([(0, 0, 0), (40, 0, 0), (0, 25, 0), (0, 0, 30), (-60, -20, 15)]):
        matrices[f"id{n}"] = np.eye(4)
        matrices[f"id{n}"][:3, :3] = scipy_matrix(*angles)
        matrices[f"id{n}"][:3, 3] = [0.1, 0.2, -3]
    folder = make_dad3dheads(tmp_path, {name: {"model_view_matrix": m.tolist()} for name, m in matrices.items()})
    samples = acquired(Dad3dHeads(part="val"), tmp_path / "raw", folder)
    for name, matrix in matrices.items():
        np.testing.assert_allclose(samples[name].rotation, matrix[:3, :3])
        np.testing.assert_allclose(matrix_to_euler(samples[name].rotation), official_rpy(matrix), atol=1e-6)
        np.testing.assert_allclose(samples[name].given_box, [10, 20, 40, 60])


def test_broken_annotations_of_dad3dheads_are_named(tmp_path):
    folder = make_dad3dheads(
        tmp_path, {"a": {}, "b": {"model_view_matrix": [[1, 2], [3, 4]]}, "c": {"model_view_matrix": "x"}, "d": []}
    )
    (folder / "val/annotations/c.json").write_text("{")
    assert list(reasons(Dad3dHeads(part="val"), tmp_path / "raw", folder).values()) == [
        "a.json: model_view_matrix is not 4 x 4 numbers",
        "b.json: model_view_matrix is not 4 x 4 numbers",
        "annotations/c.json is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
        "annotations/d.json is not an annotation",
    ]
    (folder / "val/val.json").write_text('[{"item": 1}]')
    with pytest.raises(UserError, match=r"val.json: not an index of DAD-3DHeads"):
        acquired(Dad3dHeads(part="val"), tmp_path / "raw2", folder)


# image folder


def folder_with(tmp_path: Path, csv: str | None, *images: str) -> Path:
    folder = tmp_path / "mine"
    for name in images or ("anna/1.jpg", "anna/2.PNG", "ben/1.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(folder / name)
    if csv is not None:
        (folder / "labels.csv").write_text(csv)
    return folder


def test_own_images_with_angles_box_and_subject(tmp_path):
    folder = folder_with(
        tmp_path,
        "path,yaw,pitch,roll,x0,y0,x1,y1,subject\n"
        "anna/1.jpg,30,-10,5,1,2,33,34,anna\nben/1.jpg,-20.5,0,1e1,0,0,20,20,\nanna/2.PNG,5,7,,3,3,30,30,anna\n",
    )
    samples = acquired(ImageFolder(), tmp_path / "raw", folder)
    assert list(samples) == ["anna/1.jpg", "ben/1.jpg", "anna/2.PNG"], "in the order of the table"
    np.testing.assert_allclose(samples["anna/1.jpg"].rotation, scipy_matrix(30, -10, 5), atol=1e-12)
    np.testing.assert_allclose(samples["ben/1.jpg"].euler_deg, [-20.5, 0, 10])
    np.testing.assert_allclose(samples["anna/1.jpg"].given_box, [1, 2, 33, 34])
    assert [s.subject for s in samples.values()] == ["anna", "ben/1.jpg", "anna"]
    partial = samples["anna/2.PNG"]
    assert partial.rotation is None
    np.testing.assert_array_equal(partial.euler_deg, [5, 7, np.nan])


def test_own_images_with_matrices(tmp_path):
    matrix = scipy_matrix(25, 10, -5)
    cells = ",".join(f"{v:.9f}" for v in matrix.ravel())
    names = ",".join(f"r{i}{j}" for i in range(3) for j in range(3))
    folder = folder_with(tmp_path, f"path,{names}\nanna/1.jpg,{cells}\n")
    (sample,) = acquired(ImageFolder(subject="folder"), tmp_path / "raw", folder).values()
    np.testing.assert_allclose(sample.rotation, matrix, atol=1e-8)
    assert sample.subject == "anna"
    assert sample.given_box is None


def test_own_images_without_labels(tmp_path):
    samples = acquired(ImageFolder(labels=None, subject="folder"), tmp_path / "raw", folder_with(tmp_path, None))
    assert list(samples) == ["anna/1.jpg", "anna/2.PNG", "ben/1.jpg"]
    assert all(s.rotation is None and np.isnan(s.euler_deg).all() for s in samples.values())
    assert [s.subject for s in samples.values()] == ["anna", "anna", "ben"]


def test_own_images_from_an_archive(tmp_path):
    archive = zipped(folder_with(tmp_path, "path,yaw,pitch,roll\nben/1.jpg,1,2,3\n"), tmp_path / "mine.zip")
    assert list(acquired(ImageFolder(), tmp_path / "raw", archive)) == ["ben/1.jpg"]


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("path,yaw,pitch\n", "column 'roll' is missing; all of yaw, pitch, roll are needed"),
        ("path,yaw,pitch,rol\n", "unknown column 'rol'"),
        ("path,subject\n", "needs a column `path`, and either yaw, pitch, roll or r00"),
        ("yaw,pitch,roll\n", "needs a column `path`"),
        ("path,yaw,pitch,roll,r00\n", "needs a column `path`, and either"),
        ("path,yaw,pitch,roll,x0,y0\n", "column 'x1' is missing; all of x0, y0, x1, y1 are needed"),
        ("", "not a readable CSV"),
        ("path,yaw,pitch,roll\n../../etc/passwd,1,2,3\n", "is outside the folder"),
        ("path,yaw,pitch,roll\n/etc/passwd,1,2,3\n", "is outside the folder"),
        (None, "no labels.csv in it; add it, or set source.labels to the name of your CSV, or to null"),
    ],
)
def test_a_wrong_table_stops_the_step_with_the_reason(tmp_path, csv, message):
    with pytest.raises(UserError) as error:
        acquired(ImageFolder(), tmp_path / "raw", folder_with(tmp_path, csv))
    assert message in str(error.value)


def test_wrong_cells_are_named(tmp_path):
    folder = folder_with(
        tmp_path, "path,yaw,pitch,roll,x0,y0,x1,y1\na.jpg,left,0,0,0,0,9,9\nb.jpg,0,0,inf,0,0,9,9\nc.jpg,0,0,0,0,,9,9\n"
    )
    found = reasons(ImageFolder(), tmp_path / "raw", folder)
    assert list(found.values()) == [
        "yaw is 'left', not a number",
        "roll is 'inf', not a number",
        "y0 is '', not a number",
    ]


def test_radians_are_suspected(tmp_path, caplog):
    rows = "".join(f"{n}.jpg,{n / 10},0.2,-0.1\n" for n in range(12))
    acquired(ImageFolder(), tmp_path / "raw", folder_with(tmp_path, f"path,yaw,pitch,roll\n{rows}"))
    assert "are these radians?" in caplog.text
