"""What a data card says of a data set, as numbers and as a page."""

import base64
import io
from collections import Counter
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from pipeline_steps.acquisition.catalogue import Record
from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.images.drawing import draw_axes, shown_rotation
from pipeline_steps.pose.geometry import ANGLES

TILE, COLUMNS = 128, 8


def summarise(crops: CropFile, rejected: list[tuple[str, str]], record: Record | None) -> dict[str, Any]:
    """Counts, ranges of the angles in degrees, origin and terms. rejected: source id and reason of every one."""
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
        "pose": pose,
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


def page(card: dict[str, Any], rejected: list[tuple[str, str]], histogram: Figure | None, sheet: bytes) -> str:
    """The card as one HTML file that needs nothing beside it. sheet: the contact sheet as JPEG."""
    import jinja2

    svg = io.StringIO()
    if histogram:
        histogram.savefig(svg, format="svg", metadata={"Date": None}, bbox_inches="tight")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(PAGE).render(
        card=card,
        record=card["record"],
        reasons=Counter(reason for _, reason in rejected).most_common(20),
        histogram=svg.getvalue()[svg.getvalue().find("<svg") :] if histogram else None,
        sheet=base64.b64encode(sheet).decode(),
    )


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data card: {{ card.dataset }}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; margin: 1rem 0; }
  th, td { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid #8884; }
  td { overflow-wrap: anywhere; }
  img { max-width: 100%; height: auto; }
  figure { margin: 1rem 0; }
  figure svg { max-width: 100%; height: auto; background: #fff; }
</style>
<h1>{{ record.title if record else card.dataset }}</h1>
<table>
  <tr><th>data set<td>{{ card.dataset }}{% if record %}, version {{ record.version }}{% endif %}
  <tr><th>images<td>{{ "{:,}".format(card.images) }}{% if record and record.images %} of
    {{ "{:,}".format(record.images) }} in the whole set{% endif %}
  <tr><th>rejected<td>{{ "{:,}".format(card.rejected) }}
  <tr><th>subjects<td>{{ "{:,}".format(card.subjects) }}
  <tr><th>labels<td>{% for name, count in card.labels.items() if count %}{{ name }}: {{ "{:,}".format(count) }}
    {% endfor %}
  <tr><th>crop<td>{% for name, value in card.crop.items() %}{{ name }} {{ value }}{{ ", " if not loop.last }}
    {%- endfor %}
  {% if card.archive %}<tr><th>archive<td>{{ card.archive }}
  <tr><th>SHA-256<td><code>{{ card.sha256 }}</code>
    {%- if card.official is not none %}, {{ "" if card.official else "not " }}the official archive{% endif %}{% endif %}
  {% if record %}<tr><th>page<td><a href="{{ record.page }}">{{ record.page }}</a>
  <tr><th>label<td>{{ record.labels }}
  <tr><th>licence<td>{{ record.licence }}
  <tr><th>to accept<td>{{ record.accept }}
  <tr><th>citation<td>{{ record.citation }}
  {% if record.notes %}<tr><th>notes<td>{{ record.notes }}{% endif %}{% endif %}
</table>
{% if card.pose %}<h2>Poses</h2>
<table>
  <tr><th>degrees<th>images<th>mean<th>std<th>min<th>max
  {% for angle, of in card.pose.items() %}<tr><th>{{ angle }}<td>{{ "{:,}".format(of.n) }}<td>{{ of.mean }}
    <td>{{ of.std }}<td>{{ of.min }}<td>{{ of.max }}
  {% endfor %}
</table>
<figure>{{ histogram | safe }}</figure>{% endif %}
<h2>Crops</h2>
<p>Spread evenly through the set; axes drawn from the labels: sideways red, up green, nose blue.
An angle that the set does not know is drawn as zero.
<figure><img alt="contact sheet of crops with axes drawn from their labels" src="data:image/jpeg;base64,{{ sheet }}">
</figure>
{% if reasons %}<h2>Rejected</h2>
<table>
  <tr><th>images<th>reason
  {% for reason, count in reasons %}<tr><td>{{ count }}<td>{{ reason }}
  {% endfor %}
</table>{% endif %}
</html>
"""
