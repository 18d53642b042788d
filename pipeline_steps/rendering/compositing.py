"""Compose a rendered head and a background as a camera would: exposure, colour cast, blur, noise and JPEG."""

import io
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter


@cache
def _interpolation(count: int, size: int) -> np.ndarray:
    """Weights (size, count) that interpolate `count` values linearly at `size` positions from the first to the last."""
    positions = np.linspace(0, count - 1, size)[:, None]
    weights: np.ndarray = np.clip(1 - np.abs(positions - np.arange(count)), 0, None)
    return weights.astype(np.float32)


def _enlarged(image: np.ndarray, size: int) -> np.ndarray:
    """An image (n, n, C) enlarged to (size, size, C), bilinear with aligned corners."""
    weights = _interpolation(len(image), size)
    rows = weights @ image.reshape(len(image), -1)
    return np.asarray(weights @ rows.reshape(size, len(image), -1))


def draw_background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Linear RGB (size, size, 3): a gradient, shapes of several sizes and soft noise, more or less out of focus."""
    canvas = 96
    corners = rng.uniform(0, 255, (2, 2, 3)) * rng.uniform(0.3, 1) + rng.uniform(0, 60)
    base = _enlarged(corners, canvas)
    image = Image.fromarray(np.clip(base, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    palette = rng.integers(0, 256, (6, 3))
    for _ in range(int(rng.integers(0, 28))):
        colour = tuple(int(c) for c in palette[rng.integers(6)])
        x, y = rng.uniform(-20, canvas, 2)
        w, h = np.exp(rng.uniform(np.log(3), np.log(70), 2))
        match rng.integers(4):
            case 0 | 1:
                draw.rectangle([x, y, x + w, y + h], fill=colour)
            case 2:
                draw.ellipse([x, y, x + w, y + h], fill=colour)
            case _:
                draw.line([x, y, x + w * rng.choice([-1, 1]), y + h], fill=colour, width=int(rng.integers(1, 5)))
    image = image.filter(ImageFilter.GaussianBlur(float(rng.choice([0.4, 1.0, 2.0, 5.0]))))
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    for scale in (4, 12, 40):
        grain = rng.normal(0, rng.uniform(0, 14), (scale, scale, 1)).astype(np.float32)
        pixels = pixels + _enlarged(grain, size)
    return np.asarray(np.clip(pixels / 255.0, 0, 1) ** 2.2 * rng.uniform(0.3, 1.1), np.float32)


def compose(rng: np.random.Generator, head: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Image, uint8 (H, W, 3), of a head (H, W, 4), linear and premultiplied, in front of a background (H, W, 3)."""
    light = head[..., :3] + (1 - head[..., 3:]) * background
    covered = head[..., 3] > 0.5
    level = float(np.mean(light[covered])) if covered.any() else 0.3
    light = light * (rng.uniform(0.16, 0.42) / max(level, 1e-3)) ** rng.uniform(0.35, 0.9)
    light = light * np.clip(1 + rng.normal(0, 0.06, 3), 0.8, 1.2).astype(np.float32)
    blur = abs(rng.normal(0, 0.45)) + 0.15
    if rng.random() < 0.12:
        blur += rng.uniform(0.5, 1.3) * len(light) / 128
    light = gaussian_filter(light, (blur, blur, 0))
    knee = 0.8
    bright = light > knee
    light[bright] = knee + (1 - knee) * np.tanh((light[bright] - knee) / (1 - knee))
    grey = light @ np.full((3, 1), 1 / 3, np.float32)
    light = np.clip(grey + (light - grey) * rng.uniform(0.65, 1.2), 0, 1)
    if rng.random() < 0.03:
        light = np.repeat(grey, 3, -1)
    srgb = np.clip(light, 0, 1) ** np.float32(1 / 2.2)
    srgb = 0.5 + (srgb - 0.5) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.02)
    sigma = abs(rng.normal(0, 0.018)) + 0.003
    noise = rng.standard_normal(srgb.shape, dtype=np.float32)
    srgb = srgb + sigma * (0.6 * noise + 0.4 * noise[..., :1])
    return np.asarray((np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8))


def compose_jpeg(rng: np.random.Generator, head: np.ndarray, background: np.ndarray) -> bytes:
    """JPEG file of a head (H, W, 4), linear and premultiplied, in front of a background (H, W, 3)."""
    image = Image.fromarray(compose(rng, head, background))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(45, 97)))
    return buffer.getvalue()
