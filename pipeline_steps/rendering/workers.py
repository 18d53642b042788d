"""Render the images of many subjects, one subject after another, in any number of processes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline_steps.job.progress import logger
from pipeline_steps.job.worker_pool import worker_pool
from pipeline_steps.rendering.compositing import compose_jpeg, draw_background
from pipeline_steps.rendering.heads import HeadModel, head_model, load_body_model
from pipeline_steps.rendering.renderer import HeadRenderer
from pipeline_steps.rendering.scenes import (
    View,
    draw_expression,
    draw_gaze,
    draw_light,
    draw_torso,
    draw_view,
    head_box,
    pose_subject,
    posed_landmarks,
)
from pipeline_steps.rendering.subjects import draw_shape, make_subject


@dataclass(frozen=True)
class SubjectTask:
    """One subject's images to render.

    size: of the images, in pixels; shape: (K,) identity coefficients; sex and age as `draw_shape` returns them;
    euler_deg: (N, 3) yaw, pitch, roll in degrees; files: N paths.
    """

    subject: int
    seed: int
    size: int
    shape: np.ndarray
    sex: float
    age: float
    euler_deg: np.ndarray
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Label:
    """Exact labels of one image.

    landmarks: (68, 2) in pixels; landmarks_3d: (68, 3) in the head frame, metres; box: (4,) x0, y0, x1, y1 in pixels.
    """

    subject: int
    file: Path
    view: View
    landmarks: np.ndarray
    landmarks_3d: np.ndarray
    box: np.ndarray


def render_subjects(
    seed: int, size: int, poses: Sequence[np.ndarray], files: Sequence[Sequence[Path]], processes: int
) -> Iterator[Label]:
    """Write every subject's images and yield their labels in order, whatever the number of processes.

    poses: yaw, pitch, roll (N, 3) in degrees for each subject; files: paths of the N JPEG files for each subject.
    """
    logger.info("loading the body model (about a minute the first time on a machine)")
    body = load_body_model()
    model = head_model(body)
    tasks = []
    for subject, (euler_deg, paths) in enumerate(zip(poses, files, strict=True)):
        shape, sex, age = draw_shape(np.random.default_rng([seed, subject, 0]), body)
        columns = shape[model.identity_columns]
        tasks.append(SubjectTask(subject, seed, size, columns, sex, age, euler_deg, tuple(paths)))
    del body
    if processes == 1:
        for task in tasks:
            yield from render_subject(model, task)
        return
    # not forked, because a fork of a process that has loaded torch and Warp can hang
    with worker_pool(processes, get_context("spawn"), _start_worker, model) as pool:
        for labels in pool.map(_render_in_worker, tasks):
            yield from labels


_model: HeadModel | None = None


def _start_worker(model: HeadModel) -> None:
    global _model  # noqa: PLW0603 (sent once per process instead of once per subject)
    _model = model
    threadpool_limits(1)  # NumPy would otherwise start a thread per core in every process


def _render_in_worker(task: SubjectTask) -> list[Label]:
    assert _model is not None
    return list(render_subject(_model, task))


def render_subject(model: HeadModel, task: SubjectTask) -> Iterator[Label]:
    """Write one subject's images and yield their labels."""
    rng = np.random.default_rng([task.seed, task.subject, 1])
    subject = make_subject(rng, model, model.identity(task.shape), task.sex, task.age)
    renderer = HeadRenderer(subject)
    for index, (euler_deg, file) in enumerate(zip(task.euler_deg, task.files, strict=True)):
        rng = np.random.default_rng([task.seed, task.subject, 2, index])
        view = draw_view(rng, euler_deg, task.size)
        gaze_deg = draw_gaze(rng)
        posed = pose_subject(model, subject, draw_expression(rng), gaze_deg, draw_torso(rng, euler_deg))
        camera = view.camera() | draw_light(rng, view)
        head = renderer.render(posed, camera)
        file.write_bytes(compose_jpeg(rng, head, draw_background(rng, task.size)))
        points = posed_landmarks(model, posed)
        yield Label(task.subject, file, view, view.project(points), points, head_box(model, posed, view))
