"""Progress lines report the time left."""

import logging
import time
from collections.abc import Iterator

import pytest

from pipeline_steps.job.progress import track


def test_time_left_ignores_work_before_the_first_item(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def slow_to_start() -> Iterator[int]:
        nonlocal now
        now += 100  # a model is loaded
        for item in range(12):
            yield item
            now += 1

    with caplog.at_level(logging.INFO, "headpose"):
        assert list(track(slow_to_start(), "rendering", total=12)) == list(range(12))
    assert "rendering  6/12  1/s  left 00:05" in caplog.messages
