"""Figures and images as parts of one HTML file."""

import base64
import io
import re
from pathlib import Path

from markupsafe import Markup, escape

from pipeline_steps.evaluation.worst import Faces
from pipeline_steps.figures.faces import face_pair
from pipeline_steps.job.errors import UserError


def inline_svg(path: Path, title: str) -> Markup:
    """A figure from matplotlib, with ids that are unique in the page and without styles that would affect the page."""
    try:
        text = path.read_text(encoding="utf-8")
        figure = text[text.index("<svg") :]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a complete figure ({error}); delete it and run snakemake again") from error
    figure = re.sub(r"<(metadata|style)\b.*?</\1>", "", figure, flags=re.DOTALL)
    figure = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{path.stem}-", figure)
    return Markup(figure.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1))


def width_of(figure: Markup) -> float:
    """Width of an SVG in points."""
    found = re.search(r'<svg[^>]* width="([\d.]+)pt"', figure)
    return float(found[1]) if found else 0.0


def face_images(faces: Faces) -> list[dict[str, str]]:
    """Per face: source, a JPEG as data URI, the label's axes above the prediction's; name, its source id; error."""
    shown = []
    for name, image, label, predicted, error in zip(*faces, strict=True):
        buffer = io.BytesIO()
        face_pair(image, label, predicted).save(buffer, "JPEG", quality=85)
        uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        shown.append({"source": uri, "name": name, "error": f"{error:.1f}°"})
    return shown
