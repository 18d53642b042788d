"""Isotropic noise has no up and no places: whoever finds out how it was moved has found it in traces of the motion."""

import math

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

import pipeline_steps.pretext
from pipeline_steps.images.augmentation import Augmentation, BatchAugmentation, Motion
from pipeline_steps.params.registry import kinds
from pipeline_steps.params.sections import Task
from pipeline_steps.pretext._decoder import Original
from pipeline_steps.pretext._random_views import RandomViews
from pipeline_steps.pretext.base import PretextTask

SIZE, STEPS, BATCH, TESTED, ROLL = 24, 240, 64, 2048, 30.0
NO_COLOURS = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "grayscale": 0.0, "blur": 0.0}


def task_of(kind: str) -> PretextTask:
    """The task with its own windows; views that may be rotated are, and have the colours of the noise."""
    task = TypeAdapter(Task).validate_python({"kind": kind})
    if not isinstance(task, RandomViews):
        return task
    return TypeAdapter(Task).validate_python({"kind": kind, "view": {"roll": ROLL, **NO_COLOURS}})


def ways_of_moving() -> dict[str, PretextTask]:
    """One task, by its kind, for every way of making views; tasks that only mask have nothing to give away."""
    tasks = [task_of(kind) for kind in kinds(pipeline_steps.pretext.__name__)]
    images = torch.rand(2, 3, SIZE, SIZE)
    moving = [t for t in tasks if not isinstance(t.views(images, torch.Generator()).targets, Original)]
    return {t.kind: t for t in {type(t).views: t for t in moving}.values()}


def noise(count: int, size: int, blur: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise (count, 3, size, size) around 0.5, blurred by an isotropic Gaussian of `blur` pixels."""
    wide = size + 8  # what is cut out does not continue at its opposite edge
    down, across = torch.fft.fftfreq(wide)[:, None], torch.fft.rfftfreq(wide)
    spectrum = torch.fft.rfft2(torch.randn(count, 3, wide, wide, generator=generator))
    spectrum = spectrum * torch.exp(-2 * (math.pi * blur) ** 2 * (down**2 + across**2))
    blurred = torch.fft.irfft2(spectrum, s=(wide, wide))[..., :size, :size]
    return (0.5 + 0.15 * blurred / blurred.std()).clamp(0, 1)


def to_the_right(motion: Motion) -> Tensor:
    """Whether each image was rotated to the right, 1, or to the left, 0."""
    return motion.roll_deg.gt(0).long()


def question(task: PretextTask, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What a network sees (count, C, SIZE, SIZE), and the class (count,) that it must not find out.

    Rotated views are resampled, and the noise is blurred, so that this leaves no trace. They are shown alone: a pair
    tells the angle, as it should. Places are asked for in white noise: where it is smooth, neighbours fit, as they
    should.
    """
    if isinstance(task, RandomViews):
        inputs, targets = task.views(noise(count, SIZE, 1.0, generator), generator)
        moved = len(targets.roll_deg)
        return inputs[-moved:], to_the_right(targets)
    inputs, targets = task.views(noise(count, SIZE, 0.0, generator), generator)
    assert targets.dtype == torch.int64, f"{task.kind}: say here what its targets tell of the motion"
    return torch.cat(inputs.split(count), 1), targets.reshape(count, -1)[:, 0]


def share_found_out(ask, classes: int) -> float:
    """The share of right answers, on new images, of a small network that was trained to find the classes."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        *(nn.LazyConv2d(16, 5, 2, 2), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten()),
        *(nn.LazyLinear(64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, classes)),
    )
    network(ask(2, generator)[0])
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(STEPS):
        seen, answers = ask(BATCH, generator)
        optimiser.zero_grad()
        F.cross_entropy(network(seen - 0.5), answers).backward()
        optimiser.step()
    seen, answers = ask(TESTED, generator)
    with torch.no_grad():
        return network.eval()(seen - 0.5).argmax(1).eq(answers).float().mean().item()


@pytest.fixture(autouse=True)
def one_thread():
    """Threads cost such small networks more time than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def largest_by_chance(classes: int) -> float:
    """Four standard errors above the share of right answers of somebody who guesses."""
    return 1 / classes + 4 * math.sqrt(1 / classes * (1 - 1 / classes) / TESTED)


MOVING = ways_of_moving()


def test_every_task_that_moves_images_is_asked():
    assert {"rotation", "roll_equivariance", "puzzling", "jigsaw_permutation", "relative_position"} < MOVING.keys()


@pytest.mark.parametrize("kind", MOVING)
def test_no_view_tells_how_it_was_moved(kind):
    task = MOVING[kind]
    classes = int(question(task, 512, torch.Generator().manual_seed(0))[1].max()) + 1
    assert share_found_out(lambda count, g: question(task, count, g), classes) < largest_by_chance(classes)


@pytest.mark.parametrize(("stored", "scale", "shift"), [(SIZE, (1.0, 1.0), 0.0), (29, (0.9, 1.1), 0.05)])
def test_no_rotated_training_image_tells_its_angle(stored, scale, shift):
    augment = BatchAugmentation(Augmentation(flip=0.0, scale=scale, shift=shift, roll=ROLL), SIZE)

    def ask(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images, motion = augment(noise(count, stored, 1.0, generator))
        return images, to_the_right(motion)

    assert share_found_out(ask, 2) < largest_by_chance(2)
