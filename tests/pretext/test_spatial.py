"""Tasks about positions and masked pixels: labels read from the images, losses computed by NumPy."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline_steps.job.errors import UserError
from pipeline_steps.network.hybrid import HybridNetwork
from pipeline_steps.params.steps import Auxiliary
from pipeline_steps.pretext._decoder import Original
from pipeline_steps.pretext.inpainting import Inpainting, frozen_network
from pipeline_steps.pretext.jigsaw_permutation import JigsawPermutation, distant_permutations
from pipeline_steps.pretext.masked_modelling import MaskedModelling
from pipeline_steps.pretext.relative_position import RelativePosition
from tests.optimise import losses_while_optimised

CLASSIFIERS = [JigsawPermutation(), JigsawPermutation(grid=3, permutations=64), RelativePosition()]
RECONSTRUCTIONS = [Inpainting(width=16), MaskedModelling(width=16)]
TASKS = CLASSIFIERS + RECONSTRUCTIONS
MEAN_COLOUR = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)


def name(task):
    return f"{task.kind}{getattr(task, 'grid', '')}"


def size_for(task):
    return 36 if getattr(task, "grid", 2) == 3 else 32


every_task = pytest.mark.parametrize("task", TASKS, ids=name)
every_restorer = pytest.mark.parametrize("task", RECONSTRUCTIONS, ids=name)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=8, size=32):
    return torch.rand(n, 3, size, size, generator=generator(1))


def read(task, views):
    """Stands for what the backbone makes of the views: 16 random channels."""
    maps = torch.randn(len(views.inputs), 16, 1, 1, generator=generator(2))
    return maps if task.reads == "map" else maps.flatten(1)


def places(n, size):
    """Images whose red says how far to the right a pixel lies, and whose green how far down, from 0 to 1."""
    middle = (torch.arange(size) + 0.5) / size
    x, y = middle.expand(size, size), middle[:, None].expand(size, size)
    return torch.stack([x, y, torch.zeros(size, size)]).expand(n, -1, -1, -1)


def quarter(tensor):
    """Tensors (..., S, S) at a quarter of their resolution, by averaging blocks of 4x4."""
    *rest, h, w = tensor.shape
    return tensor.float().reshape(*rest, h // 4, 4, w // 4, 4).mean((-3, -1))


@every_task
def test_views_follow_the_generator_and_leave_torchs_alone(task):
    x = images(size=size_for(task))
    before = torch.get_rng_state()
    a, b, c = (task.views(x, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert a.inputs.shape[1:] == x.shape[1:]
    assert torch.equal(a.inputs, b.inputs)
    assert not torch.equal(a.inputs, c.inputs)
    for one, other in zip(a.targets, b.targets, strict=True):
        assert torch.equal(one, other)


@every_task
def test_the_loss_falls_when_head_and_inputs_are_optimised(task):
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(images(4, 4), size=size_for(task), mode="bilinear")
    views = task.views(x, generator())
    head = task.head(16)
    inputs = read(task, views).requires_grad_()
    parameters = [inputs, *head.parameters()]
    losses = losses_while_optimised(lambda: task.loss(head(inputs), views.targets)[0], parameters, 0.03, 80)
    assert losses[-1] < (0.1 if task in CLASSIFIERS else 0.5) * losses[0]


def test_a_network_trains_on_all_of_them_at_once():
    tasks = {name(task): task for task in TASKS if getattr(task, "grid", 2) == 2}
    network = HybridNetwork("resnet18", None, {key: Auxiliary(weight=1.0, task=task) for key, task in tasks.items()})
    for key, task in tasks.items():
        views = task.views(images(2, 64), generator())
        loss, metrics = task.loss(network.auxiliary_outputs(key, network.backbone.maps(views.inputs)), views.targets)
        loss.backward()
        assert loss.ndim == 0
        assert all(value.ndim == 0 for value in metrics.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@every_task
def test_nothing_is_rounded_where_networks_compute_in_bfloat16(task):
    x = images(4, size_for(task))
    views = task.views(x, generator())
    outputs = task.head(16).eval()(read(task, views))
    loss, _ = task.loss(outputs, views.targets)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(task.views(x, generator()).inputs, views.inputs)
        assert task.loss(outputs, views.targets)[0].item() == loss.item()


@pytest.mark.parametrize(("task", "answers"), [*zip(CLASSIFIERS, (12, 64, 8), strict=True)])
def test_uniform_guessing_costs_the_logarithm_of_the_number_of_answers(task, answers):
    targets = torch.arange(5)
    assert task.head(16).eval()(torch.zeros(10 if answers == 8 else 5, 16)).shape == (5, answers)
    assert task.loss(torch.zeros(5, answers), targets)[0].item() == pytest.approx(math.log(answers))
    perfect, metrics = task.loss(100 * torch.eye(answers)[targets], targets)
    assert perfect.item() < 1e-6
    assert metrics["accuracy"] == 1


def hamming(permutations):
    differ = (permutations[:, None] != permutations).sum(2)
    return differ[~torch.eye(len(permutations), dtype=torch.bool)]


@pytest.mark.parametrize(
    ("grid", "count", "distance"), [(2, 4, 4), (2, 12, 3), (2, 24, 2), (3, 9, 9), (3, 64, 7), (3, 100, 6)]
)
def test_permutations_lie_far_apart(grid, count, distance):
    permutations = distant_permutations(grid, count)
    assert permutations.shape == (count, grid**2)
    assert torch.equal(permutations.sort(1).values, torch.arange(grid**2).expand(count, -1))
    assert hamming(permutations).min() == distance
    assert torch.equal(permutations[: count // 2], distant_permutations(grid, count // 2))


def test_every_slot_shows_every_tile_about_equally_often():
    shown = torch.stack([column.bincount(minlength=9) for column in distant_permutations(3, 90).T])
    assert 8 <= shown.min() <= shown.max() <= 12


@pytest.mark.parametrize("grid", [2, 3])
def test_jigsaw_targets_name_the_permutation_of_the_tiles(grid):
    task = JigsawPermutation(grid=grid, permutations=10)
    views = task.views(images(48, 4 * grid), generator(3))
    assert set(views.targets.tolist()) == set(range(10))
    for before, after, target in zip(images(48, 4 * grid), views.inputs, views.targets, strict=True):
        for slot, tile in enumerate(distant_permutations(grid, 10)[target].tolist()):
            (r, c), (row, column) = divmod(tile, grid), divmod(slot, grid)
            shown = after[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert torch.equal(shown, before[:, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4])


def test_relative_positions_can_be_read_off_from_what_the_patches_show():
    task = RelativePosition(grayscale=0.0, gap=0.1, jitter=0.04)
    views = task.views(places(200, 64), generator())
    seen = views.inputs[:, :2].mean((2, 3))
    centre, neighbour = seen.chunk(2)
    assert (centre - 0.5).abs().max() <= 0.04 + 1e-5
    pitch = (1 - 2 * 0.1 - 2 * 0.04) / 3 + 0.1
    columns, rows = ((neighbour - centre) / pitch).round().long().T
    assert ((neighbour - centre) / pitch - torch.stack([columns, rows], 1)).abs().max() <= 0.08 / pitch + 1e-4
    compass = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]  # reading order: (row, column)
    assert [compass[place] for place in views.targets.tolist()] == list(
        zip(rows.tolist(), columns.tolist(), strict=True)
    )
    assert set(views.targets.tolist()) == set(range(8))


def test_patches_never_touch_nor_leave_the_image():
    gap, jitter = 0.1, 0.04
    views = RelativePosition(grayscale=0.0, gap=gap, jitter=jitter).views(places(200, 64), generator())
    low, high = views.inputs[:, :2].amin((2, 3)), views.inputs[:, :2].amax((2, 3))
    pixel = (1 - 2 * gap - 2 * jitter) / 3 / 64
    assert torch.allclose(high - low, torch.tensor(63 * pixel), atol=0.5 / 64)
    apart = torch.maximum(low[:200] - high[200:], low[200:] - high[:200]).amax(1)
    assert apart.min() >= gap - 2 * jitter


def test_both_patches_of_a_pair_lose_their_colour():
    views = RelativePosition(grayscale=0.5).views(images(64), generator())
    gray = (views.inputs == views.inputs[:, :1]).flatten(1).all(1)
    assert torch.equal(gray[:64], gray[64:])
    assert 16 < gray[:64].sum() < 48


def test_both_patches_of_a_head_have_its_pose():
    euler = torch.tensor([[20.0, 5, -10], [-30, 0, 4]])
    rotation = torch.stack([torch.eye(3), -torch.eye(3)])
    rotations, angles = RelativePosition().view_labels(rotation, euler, torch.zeros(2))
    assert torch.equal(angles, torch.cat([euler, euler]))
    assert torch.equal(rotations, torch.cat([rotation, rotation]))


@every_restorer
def test_masked_pixels_alone_change_to_the_mean_colour(task):
    x = images(16)
    inputs, (original, mask) = task.views(x, generator())
    assert torch.equal(original, x)
    assert torch.equal(inputs, torch.where(mask, MEAN_COLOUR, x))
    assert mask.any()
    assert not mask.all()


def test_holes_are_rectangles_of_the_asked_size_anywhere():
    _, (_, mask) = Inpainting(side=(0.25, 0.5)).views(images(400, 32), generator())
    sides = []
    for hole in mask[:, 0]:
        rows, columns = hole.any(1).nonzero(), hole.any(0).nonzero()
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        assert hole[top:bottom, left:right].all()
        assert hole.sum() == (bottom - top) * (right - left)
        sides.append((bottom - top, right - left))
    assert (np.min(sides), np.max(sides)) == (8, 16)
    assert np.corrcoef(np.array(sides).T)[0, 1] == pytest.approx(0, abs=0.2)
    masked = mask.any(0)[0]
    assert masked.any(0).all(), "every column is masked in some image"
    assert masked.any(1).all(), "every row is masked in some image"


def test_inpainting_costs_the_error_in_the_hole_and_a_little_of_that_outside():
    x = images(4)
    mask = torch.zeros(4, 1, 32, 32, dtype=torch.bool)
    mask[:, :, 8:16, 4:20] = True
    error = 0.2 * quarter(mask) - 0.5 * (1 - quarter(mask))
    loss, metrics = Inpainting(perceptual=0.0, outside=0.1).loss(quarter(x) + error, Original(x, mask))
    assert metrics["hole_l1"].item() == pytest.approx(0.2)
    assert loss.item() == pytest.approx(0.2 + 0.1 * 0.5)


def test_a_partly_masked_pixel_counts_in_part():
    x = images(1)
    mask = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    mask[:, :, :8, :6] = True  # two rows of pixels of the reconstruction: one masked completely, one by half
    filled = quarter(x)
    filled[:, :, :, 0] += 0.3
    filled[:, :, :, 1] += 0.6
    loss, _ = Inpainting(perceptual=0.0, outside=0.0).loss(filled, Original(x, mask))
    assert loss.item() == pytest.approx((0.3 + 0.5 * 0.6) / 1.5)


def test_a_perfect_reconstruction_costs_nothing():
    x = images()
    targets = Inpainting().views(x, generator()).targets
    assert Inpainting().loss(quarter(x), targets)[0].item() == pytest.approx(0, abs=1e-6)
    assert Inpainting().loss(quarter(x).flip(3), targets)[0] > 0.05


def test_the_frozen_network_sees_the_hole_alone():
    x = images()
    targets = Inpainting().views(x, generator()).targets
    outside, inside = (torch.where(quarter(targets.mask) > 0, *which) for which in ((0.0, 1.0), (1.0, 0.0)))
    noise = torch.rand(8, 3, 8, 8, generator=generator(4))
    task = Inpainting(outside=0.0)
    assert task.loss(quarter(x) + noise * outside, targets)[1]["perceptual"].item() == pytest.approx(0, abs=1e-6)
    filled = (quarter(x) + noise * inside).requires_grad_()
    loss, metrics = task.loss(filled, targets)
    metrics["perceptual"].backward()
    assert metrics["perceptual"] > 0.01
    assert filled.grad.abs().sum() > 0
    assert not filled.grad[outside.bool().expand_as(filled)].any()
    assert loss.item() == pytest.approx((metrics["hole_l1"] + metrics["perceptual"]).item(), rel=1e-5)


def test_the_frozen_network_is_the_same_in_every_process_and_trained_in_none():
    cpu = torch.device("cpu")
    first = frozen_network("random", cpu)
    frozen_network.cache_clear()
    before = torch.get_rng_state()
    with torch.inference_mode():  # as Lightning validates
        second = frozen_network("random", cpu)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not any(p.requires_grad or p.is_inference() for p in second.parameters())
    assert frozen_network("random", cpu) is second
    head = Inpainting(width=16).head(16)
    assert not {id(p) for p in head.parameters()} & {id(p) for p in second.parameters()}


def test_the_frozen_network_keeps_the_scale_of_what_it_sees():
    x = torch.randn(4, 3, 32, 32, generator=generator())
    for stage in frozen_network("random", torch.device("cpu")):
        x = stage(x)
        assert 0.3 < (x**2).mean().sqrt() < 3


def test_imagenet_weights_that_cannot_be_fetched_are_reported(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    task = Inpainting(perceptual_network="imagenet")
    targets = task.views(images(2), generator()).targets
    before = torch.get_rng_state()
    with pytest.raises(UserError, match=r"perceptual_network: imagenet: .*no route to host.*random"):
        task.loss(torch.zeros(2, 3, 8, 8), targets)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("ratio", "count"), [(0.6, 38), (0.5, 32), (0.001, 1), (0.999, 63)])
def test_the_same_number_of_complete_cells_is_masked_in_every_image(ratio, count):
    mask = MaskedModelling(ratio=ratio).views(images(16), generator()).targets.mask
    cells = mask.reshape(16, 8, 4, 8, 4).sum((2, 4))
    assert set(cells.unique().tolist()) == {0, 16}
    assert cells.gt(0).sum((1, 2)).tolist() == [count] * 16


def normalised(x, cells):
    """Images of which every cell has mean 0 and standard deviation 1 over its pixels and colours."""
    made, side = np.empty(x.shape, np.float32), x.shape[-1] // cells
    for image, out in zip(x.numpy(), made, strict=True):
        for r in range(0, x.shape[-1], side):
            for c in range(0, x.shape[-1], side):
                cell = image[:, r : r + side, c : c + side]
                out[:, r : r + side, c : c + side] = (cell - cell.mean()) / cell.std()
    return torch.from_numpy(made)


@pytest.mark.parametrize("cells", [4, 8])
def test_masked_modelling_expects_normalised_pixels_of_masked_cells(cells):
    x = images()
    task = MaskedModelling(cells=cells)
    targets = task.views(x, generator()).targets
    perfect = normalised(x, cells)
    assert task.loss(perfect, targets)[0].item() == pytest.approx(0, abs=1e-6)
    assert task.loss(torch.zeros_like(perfect), targets)[0].item() == pytest.approx(1, abs=1e-3)
    assert task.loss(perfect + 2 * targets.mask, targets)[0].item() == pytest.approx(4, abs=1e-3)
    assert task.loss(perfect + 2 * ~targets.mask, targets)[0].item() == pytest.approx(0, abs=1e-6)


def test_brightness_and_contrast_of_a_cell_do_not_matter():
    task = MaskedModelling()
    mask = task.views(images(), generator()).targets.mask
    outputs = torch.randn(8, 3, 32, 32, generator=generator(5))
    plain, dim = (task.loss(outputs, Original(x, mask))[0] for x in (images(), 0.3 + 0.5 * images()))
    assert plain.item() == pytest.approx(dim.item(), rel=1e-3)


@every_restorer
@pytest.mark.parametrize(("size", "map_size"), [(64, 2), (112, 4)])
def test_reconstructions_cover_the_image(task, size, map_size):
    targets = task.views(images(2, size), generator()).targets
    outputs = task.head(16)(torch.randn(2, 16, map_size, map_size))
    pixels = outputs.shape[-1] * (4 if task.kind == "inpainting" else 1)
    assert pixels == 32 * map_size >= size
    loss, _ = task.loss(outputs, targets)
    beyond = outputs.clone()
    beyond[..., outputs.shape[-1] * size // pixels :, :] = 1e6
    assert task.loss(beyond, targets)[0].item() == loss.item()


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="multiple of 8"):
        MaskedModelling().check_image_size(60)
    for task in (JigsawPermutation(grid=3), RelativePosition(), Inpainting(), MaskedModelling()):
        for size in (32, 64, 112, 224):
            task.check_image_size(size)


def test_parameters_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="four tiles have 24 orders"):
        JigsawPermutation(grid=2, permutations=25)
    with pytest.raises(ValidationError, match="patches would overlap"):
        RelativePosition(gap=0.05, jitter=0.03)
    with pytest.raises(ValidationError, match="side must stay below 1"):
        Inpainting(side=(0.5, 1.0))
