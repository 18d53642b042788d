"""Image files of every kind are read as upright 8-bit RGB, and squares are cut at the given pixels."""

from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline_steps.images.drawing import draw_axes, shown_rotation
from pipeline_steps.images.image_files import UNREADABLE, cut_from_file, cut_square, open_rgb

RED_LEFT = np.zeros((40, 60, 3), np.uint8)
RED_LEFT[:, :30] = [200, 30, 40]
RED_LEFT[:10, 30:] = [20, 60, 220]
NOISE = np.random.default_rng(1).integers(0, 255, (30, 50, 3), np.uint8)


def test_a_plain_image_is_read_unchanged(tmp_path):
    Image.fromarray(RED_LEFT).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "a.png")), RED_LEFT)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [(1, lambda p: p), (3, lambda p: np.rot90(p, 2)), (6, lambda p: np.rot90(p, -1)), (8, np.rot90), (2, np.fliplr)],
)
def test_the_exif_orientation_is_applied(tmp_path, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RED_LEFT).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "a.png")), turn(RED_LEFT))


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    levels = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    seen = np.asarray(open_rgb(tmp_path / "a.png"))
    assert seen.shape == (40, 60, 3)
    np.testing.assert_allclose(seen[..., 0], levels / 257, atol=1)


def test_cmyk_and_palette_and_alpha_become_rgb(tmp_path):
    image = Image.fromarray(RED_LEFT)
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    image.convert("RGBA").save(tmp_path / "alpha.png")
    Image.fromarray(RED_LEFT[..., 0]).save(tmp_path / "grey.png")
    for name in ("cmyk.jpg", "palette.png", "alpha.png"):
        seen = np.asarray(open_rgb(tmp_path / name)).astype(int)
        assert np.abs(seen - RED_LEFT)[:, :25].mean() < 6, name
    assert open_rgb(tmp_path / "grey.png").mode == "RGB"


def refusal(tmp_path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UNREADABLE) as error:
        open_rgb(tmp_path / name)
    return str(error.value)


def test_corrupt_files_are_refused_with_a_reason(tmp_path):
    Image.fromarray(RED_LEFT.repeat(8, 0).repeat(8, 1)).save(tmp_path / "intact.jpg")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "intact.png")
    for kind in ("jpg", "png"):
        content = (tmp_path / f"intact.{kind}").read_bytes()
        assert "truncated" in refusal(tmp_path, f"half.{kind}", content[: len(content) // 2])
    assert "cannot identify image file" in refusal(tmp_path, "empty.png", b"")
    assert "cannot identify image file" in refusal(tmp_path, "page.jpg", b"<html>404</html>")
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "float.tiff")
    assert "floating-point" in refusal(tmp_path, "float.tiff", (tmp_path / "float.tiff").read_bytes())


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "webp"])
def test_an_image_with_any_bytes_changed_is_read_or_refused(tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a face"
    path, rng = tmp_path / f"a.{kind}", np.random.default_rng(0)
    Image.fromarray(NOISE).save(path, exif=exif) if kind != "bmp" else Image.fromarray(NOISE).save(path)
    intact = path.read_bytes()
    read = 0
    for _ in range(400):
        content = bytearray(intact)
        for place in rng.integers(min(len(content), 400), size=rng.integers(1, 6)):
            content[place] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(content))] if rng.random() < 0.1 else content)
        with suppress(*UNREADABLE):
            cut = cut_from_file(path, lambda width, height: np.array([0.0, 0, height, height]), 16, "reflect")
            assert cut.shape == (16, 16, 3)
            read += 1
    assert read < 400


def test_a_jpeg_decoded_at_a_fraction_gives_nearly_the_same_crop(tmp_path):
    smooth = Image.fromarray(NOISE).resize((1000, 600), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=95)
    square = np.array([120.0, 60, 620, 560])
    fast = cut_from_file(tmp_path / "a.jpg", lambda width, height: square, 64, "reflect").astype(int)
    exact = cut_square(open_rgb(tmp_path / "a.jpg"), square, 64, "reflect").astype(int)
    assert np.abs(fast - exact).mean() < 1


def test_a_very_long_strip_does_not_exhaust_the_memory(tmp_path):
    Image.new("RGB", (1, 60_000)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="a square of 60,000 pixels"):
        cut_from_file(tmp_path / "a.png", lambda width, height: np.array([0.0, 0, height, height]), 16, "reflect")


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.fromarray(RED_LEFT).save(tmp_path / "a.png")
    with pytest.raises(UNREADABLE, match="exceeds limit"):
        open_rgb(tmp_path / "a.png")


def test_an_embedded_colour_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(RED_LEFT).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "a.png")), RED_LEFT)


def test_a_square_of_whole_pixels_is_cut_exactly():
    cut = cut_square(Image.fromarray(NOISE), np.array([10.0, 5, 26, 21]), 16, "reflect")
    np.testing.assert_array_equal(cut, NOISE[5:21, 10:26])


@pytest.mark.parametrize(("x", "y"), [(-6, -4), (40, 20), (-3, 18), (38, -9)])
def test_beyond_the_edge_is_the_mirror_image_or_black(x, y):
    square = np.array([x, y, x + 16, y + 16], float)
    padded = np.pad(NOISE, ((20, 20), (20, 20), (0, 0)), "symmetric")
    expected = padded[y + 20 : y + 36, x + 20 : x + 36]
    np.testing.assert_array_equal(cut_square(Image.fromarray(NOISE), square, 16, "reflect"), expected)
    black = np.pad(NOISE, ((20, 20), (20, 20), (0, 0)))[y + 20 : y + 36, x + 20 : x + 36]
    np.testing.assert_array_equal(cut_square(Image.fromarray(NOISE), square, 16, "constant"), black)


def test_a_square_far_larger_than_the_image_repeats_it():
    cut = cut_square(Image.fromarray(NOISE), np.array([-100.0, -100, 156, 156]), 256, "reflect")
    padded = np.pad(NOISE, ((100, 126), (100, 106), (0, 0)), "symmetric")
    np.testing.assert_array_equal(cut, padded)


def test_axes_are_drawn_for_partly_known_labels():
    nothing = np.full((3, 3), np.nan)
    image = Image.fromarray(RED_LEFT)
    draw_axes(image, nothing)
    np.testing.assert_array_equal(np.asarray(image), RED_LEFT)
    nose = shown_rotation(nothing, np.array([30.0, 0.0, np.nan]))[:, 2]
    np.testing.assert_allclose(nose, [-0.5, 0, np.sqrt(0.75)], atol=1e-9)
    assert np.isnan(shown_rotation(nothing, np.full(3, np.nan))).all()


@pytest.mark.parametrize("square", [(60, 0, 80, 20), (0, 40, 20, 60), (-20, 0, 0, 20), (0, -20, 20, 0)])
def test_a_square_outside_the_image_is_refused(square):
    with pytest.raises(ValueError, match="completely outside the image of 60 x 40 pixels"):
        cut_square(Image.fromarray(RED_LEFT), np.array(square, float), 16, "reflect")
