"""Crops with the axes of labels and predictions."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from pipeline_steps.figures.style import in_style
from pipeline_steps.images.drawing import draw_axes


def face_pair(image: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> Image.Image:
    """One crop twice, with the axes of the label above and the prediction's below; uint8 (S, S, 3), (3, 3), (3, 3)."""
    pair = Image.new("RGB", (128, 256))
    for half, rotation in enumerate((label, predicted)):
        face = Image.fromarray(image).resize((128, 128), Image.Resampling.BICUBIC)
        draw_axes(face, rotation)
        pair.paste(face, (0, 128 * half))
    return pair


@in_style
def faces(images: np.ndarray, label: np.ndarray, predicted: np.ndarray, errors: np.ndarray) -> Figure:
    """The eight best and the eight worst predictions, each as two crops: axes of the label above the prediction's.

    images: uint8 (N, S, S, 3). label, predicted: (N, 3, 3). errors: in degrees (N,). N is at least 1; the
    images are shown in their order, eight to a row.
    """
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.1 * columns, 2.5 * rows))
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if place >= len(images):
            continue
        axes.imshow(np.asarray(face_pair(images[place], label[place], predicted[place])))
        axes.set_title(f"{errors[place]:.1f}°", fontsize=9)
    return figure
