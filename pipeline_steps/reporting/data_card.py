"""A data set's card: its contents as numbers and as a page."""

import base64
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from pipeline_steps.acquisition.catalogue import Record
from pipeline_steps.checks.labels import check_labels, hidden_landmarks
from pipeline_steps.figures.style import svg
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.drawing import draw_axes, shown_rotation
from pipeline_steps.images.rejected_file import Rejected
from pipeline_steps.pose.geometry import ANGLES

TILE, COLUMNS = 128, 8


def summarise(crops: CropFile, rejected: list[Rejected], record: Record | None) -> dict[str, Any]:
    """Counts, ranges of the angles in degrees, whether labels agree with each other, origin and terms of use."""
    full = np.isfinite(crops.rotation).all((1, 2))
    some = np.isfinite(crops.euler_deg).any(1)
    pose = {}
    for angle, values in zip(ANGLES, crops.euler_deg.T.astype(float), strict=True):
        known = values[np.isfinite(values)]
        if len(known):
            pose[angle] = {
                "n": len(known),
                "mean": round(float(known.mean()), 2),
                "std": round(float(known.std()), 2),
                "min": round(float(known.min()), 2),
                "max": round(float(known.max()), 2),
            }
    archive = crops.source.get("sha256")
    return {
        "dataset": crops.dataset,
        "images": len(crops),
        "rejected": len(rejected),
        "subjects": len(set(crops.subjects)),
        "labels": {
            "full rotation": int(full.sum()),
            "some angles": int((some & ~full).sum()),
            "none": int((~some).sum()),
        },
        "hidden_landmarks": hidden_landmarks(crops),
        "pose": pose,
        "checks": check_labels(crops),
        "crop": crops.crop_rule,
        "archive": crops.source.get("file"),
        "sha256": archive,
        "official": None if record is None or archive is None or record.sha256 is None else archive == record.sha256,
        "record": record and record.model_dump(mode="json", exclude={"urls", "access"}),
    }


def contact_sheet(crops: CropFile) -> Image.Image:
    """64 crops spread evenly through the set, with axes drawn from their labels."""
    rows = np.unique(np.linspace(0, len(crops) - 1, min(COLUMNS**2, len(crops))).astype(int))
    sheet = Image.new("RGB", (COLUMNS * TILE, -(-len(rows) // COLUMNS) * TILE))
    for place, (row, image) in enumerate(zip(rows, crops.read(rows), strict=True)):
        face = Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC)
        draw_axes(face, shown_rotation(crops.rotation[row], crops.euler_deg[row]))
        sheet.paste(face, (place % COLUMNS * TILE, place // COLUMNS * TILE))
    return sheet


def page(card: dict[str, Any], rejected: Sequence[Rejected], histogram: Figure | None, sheet: bytes) -> str:
    """The card as one HTML file without external resources. sheet: the contact sheet as JPEG."""
    drawn = svg(histogram) if histogram else ""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = Path(__file__).with_name("data_card.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        card=card,
        record=card["record"],
        reasons=Counter(image.reason for image in rejected).most_common(20),
        histogram=drawn[drawn.find("<svg") :],
        sheet=base64.b64encode(sheet).decode(),
    )
