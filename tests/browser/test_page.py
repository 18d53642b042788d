"""The local page in a real browser: a picture in, axes and angles out, and what is wrong in words."""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests
from PIL import Image

from pipeline_steps.images.crop_file import CropFile
from pipeline_steps.prediction.head_pose import HeadPose
from tests.browser.conftest import page_of
from tests.conftest import World

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def address(exported: Path) -> Iterator[str]:
    with page_of(exported / "model.onnx") as url:
        yield url


@pytest.fixture(scope="module")
def picture(finished: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "face.png"
    with CropFile(finished.folder / "data/crops/rendered-32px/crops.h5") as file:
        Image.fromarray(file.read(np.array([3]))[0]).save(path)
    return path


def opened(browser, address: str):
    """The page, ready for pictures that are face crops."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_function("document.getElementById('model').textContent.includes('model.onnx')")
    if not page.is_checked("#whole"):
        page.check("#whole")
    return page


def test_a_photograph_shows_its_angles_and_axes(address: str, picture: Path, exported: Path, browser):
    page = opened(browser, address)
    page.set_input_files("#file", picture)
    page.wait_for_selector("#faces tbody tr")
    shown = [float(text) for text in page.locator("#faces tbody td").all_inner_texts()[1:4]]
    (pose,) = HeadPose.load(exported / "model.onnx")(Image.open(picture), whole_image=True)
    # the page sends the picture as JPEG
    np.testing.assert_allclose(shown, [pose.yaw, pose.pitch, pose.roll], atol=5)
    drawn = page.evaluate("[...document.getElementById('view').getContext('2d').getImageData(0, 0, 32, 32).data]")
    plain = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert (np.abs(np.reshape(drawn, (32, 32, 4))[..., :3] - plain).max(2) > 60).sum() > 10
    page.close()


def test_the_mirror_image_is_looked_at_where_it_is_asked_for(address: str, picture: Path, exported: Path, browser):
    model = HeadPose.load(exported / "model.onnx")
    (once,), (twice,) = (model(Image.open(picture), whole_image=True, flip_test=flip) for flip in (False, True))
    assert not np.allclose(once.matrix, twice.matrix, atol=1e-3)
    for flip, pose in (("false", once), ("true", twice)):
        asked = f"{address}/predict?whole_image=true&flip_test={flip}"
        (answer,) = requests.post(asked, data=picture.read_bytes(), timeout=20).json()
        np.testing.assert_allclose(answer["matrix"], pose.matrix, atol=1e-5)
    page = opened(browser, address)
    page.set_input_files("#file", picture)
    page.wait_for_selector("#faces tbody tr")
    with page.expect_request(lambda request: "flip_test=true" in request.url):
        page.check("#flip")
    page.close()


def film(picture: Path, path: Path) -> None:
    """A picture as an endless raw film (YUV4MPEG2), which Chromium shows in a camera's place."""
    pixels = np.asarray(Image.open(picture).convert("RGB").resize((256, 256)))
    frame = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420).tobytes()
    path.write_bytes(b"YUV4MPEG2 W256 H256 F10:1 Ip A1:1 C420jpeg\n" + 10 * (b"FRAME\n" + frame))


def test_the_camera_shows_the_pose_until_it_is_stopped(
    address: str, picture: Path, exported: Path, tmp_path: Path, launch
):
    film(picture, tmp_path / "film.y4m")
    browser = launch(
        *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        f"--use-file-for-fake-video-capture={tmp_path / 'film.y4m'}",
    )
    page = opened(browser, address)
    page.click("#camera")
    page.wait_for_selector("#faces tbody tr")
    assert page.get_attribute("#camera", "aria-pressed") == "true"
    shown = [float(text) for text in page.locator("#faces tbody td").all_inner_texts()[1:4]]
    (pose,) = HeadPose.load(exported / "model.onnx")(Image.open(picture), whole_image=True)
    # the film's colours, the browser's JPEG and two resizings lie between
    np.testing.assert_allclose(shown, [pose.yaw, pose.pitch, pose.roll], atol=10)
    page.click("#camera")
    assert page.get_attribute("#camera", "aria-pressed") == "false"
    assert page.evaluate("stream") is None
    browser.close()


def test_a_browser_without_a_camera_says_so(address: str, browser):
    page = browser.new_page()
    page.goto(address)
    page.click("#camera")
    page.wait_for_function("document.getElementById('said').textContent.includes('The camera cannot be opened')")
    assert page.get_attribute("#camera", "aria-pressed") == "false"
    page.close()


def test_a_file_that_is_no_image_is_named(address: str, tmp_path: Path, browser):
    (tmp_path / "notes.png").write_text("not a picture")
    page = browser.new_page()
    page.goto(address)
    page.set_input_files("#file", tmp_path / "notes.png")
    page.wait_for_function("document.getElementById('said').textContent.includes('notes.png is not an image')")
    page.close()


def test_the_program_refuses_what_it_cannot_read_and_other_hosts(address: str, picture: Path):
    answer = requests.post(f"{address}/predict", data=b"not a picture", timeout=20)
    assert answer.status_code == 422
    assert "Not an image that can be read" in answer.json()["detail"]
    assert requests.get(address, headers={"Host": "elsewhere.example"}, timeout=20).status_code == 400
    assert requests.get(f"{address}/about", timeout=20).json()["text"].startswith("model.onnx: resnet18 at 32 pixels")


def test_the_page_says_how_good_the_model_is_and_on_what(address: str, browser):
    page = opened(browser, address)
    said = page.locator("#tested").inner_text()
    assert re.search(r"own boxes [\d.]+ degrees on rendered heads \(rendered, 8 images\), always frontal [\d.]+", said)
    assert "; not tested on photographs" in said
    page.close()
