"""Stop a study that takes photographs of whole rooms for crops of heads, before anything is trained on them."""

import numpy as np

from pipeline_steps.datasets.base import Entry, HeadPoseDataset, Sample
from pipeline_steps.images.boxes import CropBox, box_of
from pipeline_steps.images.image_files import UNREADABLE, open_rgb
from pipeline_steps.job.errors import UserError
from pipeline_steps.prediction.detector import FaceDetector

SMALLEST_FACE = 0.2
"""Of the side of an image. In BIWI's frames a face is an eighth of it, in images of AFLW2000-3D a third."""

_FACE_OF_HEAD = 0.65
"""The face, brows to chin, as a share of the box around a whole head."""

_IMAGES = 24


def require_heads(source: HeadPoseDataset, box: CropBox, entries: list[Entry], dataset: str) -> None:
    """Raise UserError where whole images are taken for crops although the heads in them are small.

    The size of a head is known from the calibrated camera, from landmarks or from the data set's own box; where a data
    set has none of these, faces are detected. entries: all images of the data set; 24 of them, spread evenly, are
    looked at. Nothing is said where faces are found in fewer than half of those.
    """
    if box.box != "whole_image":
        return
    detector: FaceDetector | None = None
    shares, rules = [], []
    looked_at = [entries[row] for row in np.unique(np.linspace(0, len(entries) - 1, _IMAGES).astype(int))]
    for entry in looked_at:
        try:
            sample, image = source.read(entry), open_rgb(entry.image)
        except UNREADABLE:  # it is rejected, with the reason, when it is cropped
            continue
        face, rule = _known_face(sample)
        if face is None:
            detector = detector or FaceDetector(threads=1)
            face = _largest(detector(np.asarray(image)).boxes)
        if face is not None:
            shares.append(face / max(image.size))
            rules.append(rule)
    if 2 * len(shares) < len(looked_at) or (share := float(np.median(shares))) >= SMALLEST_FACE:
        return
    known = max(set(rules), key=rules.count)
    remedy = (
        f"set it to {known}"
        if known
        else "cut the heads out first, or give their boxes in a CSV (docs/data.md) and set it to given_box"
    )
    raise UserError(
        f"datasets.{dataset}.crop.box: whole_image is for images that are crops of heads, and a face fills {share:.0%} "
        f"of the side of these (median of {len(shares)} images); {remedy}"
    )


def _known_face(sample: Sample) -> tuple[float | None, str]:
    """Longer side of the face in pixels by the label, and the crop.box that cuts it out; None where no label says."""
    for rule, box, part in (
        ("projected_head", sample.projected_head, _FACE_OF_HEAD),
        ("landmarks_loose", None if sample.landmarks is None else box_of(sample.landmarks), 1.0),
        ("given_box", sample.given_box, 1.0),
    ):
        if box is not None and np.isfinite(box).all():
            return part * float((box[2:] - box[:2]).max()), rule
    return None, ""


def _largest(boxes: np.ndarray) -> float | None:
    return float((boxes[:, 2:] - boxes[:, :2]).max()) if len(boxes) else None
