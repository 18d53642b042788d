"""Ten thousand corrupt label files in the crop step: each is read, or refused with the reason in one line."""

import csv
import io
import json
import os
import pickle
import resource
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from pipeline_steps.crop_faces import crop_faces
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.job.errors import UserError
from pipeline_steps.params.steps import CropParams
from stand_ins.annotations import face_model_fields, mat_file
from stand_ins.biwi import calibration, draw_rig
from stand_ins.camera import OffCentreView
from stand_ins.pointing04 import POSES, face_file
from tests.mutations import mutated

WIDTH, HEIGHT = 64, 48
BOX = np.array([20.0, 12, 44, 36])
MOST_MEMORY = 512 << 20
"""Bytes that reading any of these files may need."""

LONGEST = 60
"""Seconds of computing after which a reader counts as hanging; a test needs about 5."""

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of corrupt numbers


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Larger allocations raise MemoryError, which no reader may catch."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(autouse=True)
def little_time() -> Iterator[None]:
    """A reader that hangs is interrupted by an exception that no reader may catch."""
    before = signal.signal(signal.SIGVTALRM, lambda *_: pytest.fail(f"not done after {LONGEST} s of computing"))
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


# valid files


def rotation_of(rng: np.random.Generator) -> np.ndarray:
    return Rotation.from_rotvec(rng.uniform(-0.5, 0.5, 3)).as_matrix()


def mat(rng: np.random.Generator) -> bytes:
    """As in 300W-LP and AFLW2000-3D; half of them uncompressed, so that changes reach the fields themselves."""
    view = OffCentreView(rotation_of(rng), np.array([0, 0, -1.0]), 60.0, WIDTH, HEIGHT, np.array([WIDTH, HEIGHT]) / 2)
    points = rng.uniform([[20], [12], [-9]], [[44], [36], [9]], (3, 68))
    fields = face_model_fields(rng, view) | {"pt2d": points[:2], "pt3d_68": points.astype(np.float32)}
    if rng.random() < 0.5:
        return mat_file(fields)
    buffer = io.BytesIO()
    savemat(buffer, {name: fields[name] for name in ("Pose_Para", "pt2d", "pt3d_68", "roi")})
    return buffer.getvalue()


def pose_txt(rng: np.random.Generator) -> bytes:
    rows = "\n".join(" ".join(f"{v:g}" for v in row) + " " for row in rotation_of(rng))
    return f"{rows}\n\n{rng.uniform(-9, 9):g} {rng.uniform(-9, 9):g} 900 \n".encode()


def rgb_cal(rng: np.random.Generator) -> bytes:
    rig = draw_rig(rng, WIDTH)
    return calibration(rig.colour, rig.rotation, rig.translation, rig)


def pointing_name(n: int) -> str:
    number = 1 + n % len(POSES)
    tilt, pan = POSES[number]
    return f"person{n % 15 + 1:02d}{n % 2 + 1}{number:02d}{tilt:+d}{pan:+d}"


def dad_annotation(rng: np.random.Generator) -> bytes:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_of(rng)
    return json.dumps({"vertices": rng.normal(size=(4, 3)).tolist(), "model_view_matrix": matrix.tolist()}).encode()


def dad_index(rng: np.random.Generator, count: int) -> bytes:
    items = [{"item_id": f"{n:06d}", "bbox": [20, 12, 24, 24], "attributes": {"age": "old"}} for n in range(count)]
    return json.dumps(items).encode()


ANGLES = "path,yaw,pitch,roll,x0,y0,x1,y1,subject"
MATRIX = "path,x0,y0,x1,y1," + ",".join(f"r{i}{j}" for i in range(3) for j in range(3))


def table(rng: np.random.Generator, header: str) -> bytes:
    """A CSV of twelve rows with one of the two kinds of pose."""
    lines = [header]
    for n in range(12):
        cells = {"path": f"{n}.jpg", "subject": f"person {n % 3}"}
        cells |= dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True))
        cells |= dict(zip(("yaw", "pitch", "roll"), rng.uniform(-60, 60, 3).round(2), strict=True))
        cells |= {f"r{i}{j}": v for (i, j), v in np.ndenumerate(rotation_of(rng).round(6))}
        lines.append(",".join(str(cells[name]) for name in header.split(",")))
    return "\n".join(lines).encode() + b"\n"


def parquet(rng: np.random.Generator) -> bytes:
    rows = [
        {
            "source_id": f"{n}",
            "subject": f"{n // 2}",
            "rotation": rotation_of(rng).ravel(),
            "landmarks": rng.uniform(20, 30, 136),
            "box": BOX,
        }
        for n in range(4)
    ]
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_parquet(buffer, index=False)
    return buffer.getvalue()


# the crop step


@dataclass
class World:
    """A data set in a folder, which can be cropped repeatedly."""

    folder: Path
    source: dict[str, Any]
    box: str

    def __post_init__(self) -> None:
        values = {"source": self.source, "crop": {"box": self.box}, "crops": {"size": 16, "max_rejected": 1.0}}
        self.params = CropParams.model_validate(values)
        self.recipe, self.raw, self.crops = (self.folder / name for name in ("recipe.json", "raw", "crops"))
        recipe = {"step": "crop_faces", "job": {"dataset": "mine"}, "params": self.params.model_dump(mode="json")}
        self.recipe.write_text(json.dumps(recipe))
        self.raw.mkdir()
        self.set = self.raw
        if self.params.source.needs_archive:
            self.set = self.folder / "set"
            self.set.mkdir()
            self.params.source.acquire(self.raw, self.set)
        Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB").save(self.folder / "image.jpg")

    def add(self, name: str, content: bytes | None = None) -> Path:
        """Write a file; an image if no content is given."""
        path = self.set / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content) if content is not None else path.hardlink_to(self.folder / "image.jpg")
        return path

    def cropped(self) -> tuple[set[str], dict[str, str]] | None:
        """Source ids of the crops, and the reason for every rejected image; None where the data set is refused.

        Checks that messages are clear, labels valid, and no crops left behind by a refusal.
        """
        (self.crops / "crops.h5").unlink(missing_ok=True)
        refusal = None
        try:
            crop_faces(self.recipe, self.raw, self.crops, 1)
        except UserError as error:
            refusal = str(error)
        if refusal is not None:
            assert_clear(refusal)
            assert str(self.folder) in refusal
            assert not list(self.crops.glob("*crops.h5*"))
            return None
        with (self.crops / "rejected.csv").open(newline="") as rows:
            rejected = dict(list(csv.reader(rows))[1:])
        for reason in rejected.values():
            assert_clear(reason)
        with CropFile(self.crops / "crops.h5") as file:
            known = np.isfinite(file.rotation).all((1, 2))
            assert np.isnan(file.rotation[~known]).all()
            assert (np.abs(np.linalg.det(file.rotation[known]) - 1) < 3e-3).all()
            assert (np.isnan(file.euler_deg) | (np.abs(file.euler_deg) <= 180)).all()
            return set(file.source_ids), rejected


def assert_clear(message: str) -> None:
    """One printable line."""
    assert 0 < len(message.encode()) < 1000
    assert len(message.splitlines()) == 1


@dataclass(frozen=True)
class Labels:
    """Label files of single images: the path of the n-th image and of its label, and the content of a valid label."""

    source: dict[str, Any]
    box: str
    image: Callable[[int], str]
    label: Callable[[str], str]
    valid: Callable[[np.random.Generator], bytes]
    count: int
    others: dict[str, bytes] = field(default_factory=dict)


def beside(suffix: str) -> Callable[[str], str]:
    return lambda image: image.removesuffix(".jpg") + suffix


PER_PICTURE = {
    "aflw2000": Labels(
        {"kind": "aflw2000"}, "landmarks_loose", lambda n: f"AFLW2000/image{n:05d}.jpg", beside(".mat"), mat, 2000
    ),
    "w300lp": Labels({"kind": "w300lp"}, "landmarks_loose", lambda n: f"AFW/A_{n}.jpg", beside(".mat"), mat, 1500),
    "biwi": Labels(
        {"kind": "biwi"},
        "projected_head",
        lambda n: f"01/frame_{n:05d}_rgb.jpg",
        lambda image: image.replace("_rgb.jpg", "_pose.txt"),
        pose_txt,
        2300,
        {"01/rgb.cal": rgb_cal(np.random.default_rng(0))},
    ),
    "pointing04": Labels(
        {"kind": "pointing04"},
        "given_box",
        lambda n: f"{n}/Person01/{pointing_name(n)}.jpg",
        beside(".txt"),
        lambda rng: face_file("person01146+0+0.jpg", BOX),
        1000,
    ),
    "dad3dheads": Labels(
        {"kind": "dad3dheads"},
        "given_box",
        lambda n: f"train/images/{n:06d}.png",
        lambda image: image.replace("images", "annotations").replace(".png", ".json"),
        dad_annotation,
        1500,
        {"train/train.json": dad_index(np.random.default_rng(0), 1500)},
    ),
}


@pytest.mark.parametrize("name", PER_PICTURE)
def test_a_corrupt_label_is_read_or_its_image_is_rejected(tmp_path, name):
    labels, rng = PER_PICTURE[name], np.random.default_rng(1)
    world = World(tmp_path, labels.source, labels.box)
    for place, content in labels.others.items():
        world.add(place, content)
    for n in range(labels.count):
        image = labels.image(n)
        world.add(image)
        world.add(labels.label(image), mutated(rng, labels.valid(rng)))
    kept, rejected = world.cropped()
    assert len(kept) + len(rejected) == labels.count
    assert len(kept) > labels.count / 100
    assert len(rejected) > labels.count / 3


@pytest.mark.parametrize("stored_as", [0, 8, 14, 100, 255])
def test_a_storage_type_without_numbers_rejects_the_image(tmp_path, stored_as):
    """It crashes SciPy's reader with a segmentation fault."""
    world = World(tmp_path, {"kind": "aflw2000"}, "landmarks_loose")
    for name in ("image00001", "image00002"):
        world.add(f"AFLW2000/{name}.jpg")
    buffer = io.BytesIO()
    savemat(buffer, {"Pose_Para": np.zeros((1, 7)), "pt3d_68": np.tile(BOX[:3, None], 68) + np.arange(68) / 4})
    valid, doubles = buffer.getvalue(), struct.pack("<2I", 9, 7 * 8)
    assert doubles in valid
    world.add("AFLW2000/image00001.mat", valid)
    world.add("AFLW2000/image00002.mat", valid.replace(doubles, struct.pack("<2I", stored_as, 7 * 8)))
    kept, rejected = world.cropped()
    assert kept == {"image00001"}
    assert rejected["image00002"].startswith("image00002.mat: Pose_Para has shape")


@dataclass(frozen=True)
class Listing:
    """A file with the labels of an entire data set, of four images."""

    source: dict[str, Any]
    box: str
    place: str
    valid: Callable[[np.random.Generator], bytes]
    image: Callable[[int], str]
    count: int
    others: dict[str, bytes] = field(default_factory=dict)


POSE = pose_txt(np.random.default_rng(0))
ANNOTATION = dad_annotation(np.random.default_rng(0))
PER_SET = {
    "biwi": Listing(
        {"kind": "biwi"},
        "projected_head",
        "01/rgb.cal",
        rgb_cal,
        lambda n: f"01/frame_{n:05d}_rgb.jpg",
        300,
        {f"01/frame_{n:05d}_pose.txt": POSE for n in range(4)},
    ),
    "dad3dheads": Listing(
        {"kind": "dad3dheads"},
        "given_box",
        "train/train.json",
        lambda rng: dad_index(rng, 4),
        lambda n: f"train/images/{n:06d}.png",
        300,
        {f"train/annotations/{n:06d}.json": ANNOTATION for n in range(4)},
    ),
    "image_folder angles": Listing(
        {"kind": "image_folder"}, "given_box", "labels.csv", lambda rng: table(rng, ANGLES), lambda n: f"{n}.jpg", 250
    ),
    "image_folder matrices": Listing(
        {"kind": "image_folder", "subject": "folder"},
        "given_box",
        "labels.csv",
        lambda rng: table(rng, MATRIX),
        lambda n: f"{n}.jpg",
        150,
    ),
    "rendered": Listing(
        {"kind": "rendered", "subjects": 2, "images_per_subject": 2, "image_size": 64},
        "landmarks_tight",
        "labels.parquet",
        parquet,
        lambda n: f"images/{n}.jpg",
        200,
    ),
}


@pytest.mark.parametrize("name", PER_SET)
def test_a_corrupt_listing_is_read_or_refused(tmp_path, name):
    listing, rng = PER_SET[name], np.random.default_rng(2)
    world = World(tmp_path, listing.source, listing.box)
    for n in range(4):
        world.add(listing.image(n))
    for place, content in listing.others.items():
        world.add(place, content)
    outcomes = []
    for _ in range(listing.count):
        world.add(listing.place, mutated(rng, listing.valid(rng)))
        outcomes.append(world.cropped())
    assert listing.count / 10 < outcomes.count(None) < 0.95 * listing.count


class CreatesFolder:
    """Creates the folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    "layout",
    [*PER_PICTURE.values(), *PER_SET.values()],
    ids=[*PER_PICTURE, *(f"listing of {name}" for name in PER_SET)],
)
def test_code_in_a_label_file_is_not_executed(tmp_path, layout):
    world, trace = World(tmp_path, layout.source, layout.box), tmp_path / "trace"
    world.add(layout.image(0))
    for place, content in layout.others.items():
        world.add(place, content)
    place = layout.place if isinstance(layout, Listing) else layout.label(layout.image(0))
    call = f"__import__('os').mkdir({str(trace)!r})"
    for content in (
        *(pickle.dumps(CreatesFolder(trace), protocol) for protocol in (0, pickle.HIGHEST_PROTOCOL)),
        *(text.encode() for text in (call, f"@{call}", f"!!python/object/apply:os.mkdir [{trace}]")),
    ):
        world.add(place, content)
        assert world.cropped() is None
        assert not trace.exists()


NAMES = {
    "pointing04": ({"kind": "pointing04"}, "Person01/", lambda rng: pointing_name(int(rng.integers(93))), 300),
    "w300lp": ({"kind": "w300lp"}, "AFW/", lambda rng: f"AFW_{rng.integers(9**6)}_1_{rng.integers(20)}", 100),
    "image_folder": ({"kind": "image_folder", "labels": None}, "", lambda rng: f"IMG {rng.integers(9999)} (1)", 100),
}
LABEL = {".txt": face_file("x.jpg", BOX), ".mat": mat(np.random.default_rng(0))}


@pytest.mark.parametrize("name", NAMES)
def test_a_corrupt_file_name_is_read_or_refused(tmp_path, name):
    (source, place, valid, count), rng = NAMES[name], np.random.default_rng(3)
    world = World(tmp_path, source, "whole_image")
    for _ in range(count):
        stem = mutated(rng, valid(rng).encode()).translate(None, b"/\0")[:200].decode(errors="surrogateescape")
        files = [world.add(f"{place}{stem}.jpg"), *(world.add(f"{place}{stem}{end}", LABEL[end]) for end in LABEL)]
        world.cropped()
        for file in files:
            file.unlink()
