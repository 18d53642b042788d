"""Whatever was deleted, replaced or forced: what was asked for is there afterwards, made from its own data."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import World
from tests.workflow.fake_steps import LONGER, MODEL, OTHER_DATA, FakeSteps, content, succeeds, times
from workflow.layout import FILES

pytestmark = pytest.mark.workflow

EXPORT = "results/tiny/default/export/hybrid/seed0/seal.json"


@pytest.fixture
def faked(copy: World, finished: World) -> FakeSteps:
    """A copy of the finished study, in which further steps are faked."""
    return FakeSteps(copy.folder, finished.folder)


@pytest.mark.parametrize(
    ("state", "how"),
    [
        *(("of another study", how) for how in ("deleted", "-f", "--forcerun")),
        ("deleted", "deleted"),
    ],
)
def test_a_job_that_runs_again_alone_reads_its_own_data(faked: FakeSteps, state: str, how: str):
    """Not what another study has left in the folders of data."""
    before = content(faked.folder)
    if state == "deleted":
        shutil.rmtree(faked.folder / "data")
    else:
        succeeds(faked, "all_data", overlay=OTHER_DATA)
        shutil.rmtree(faked.folder / ".replaced")
    options = {"deleted": [], "-f": ["-f"], "--forcerun": ["--forcerun", "finetune"]}[how]
    (faked.folder / MODEL).unlink() if how == "deleted" else None
    succeeds(faked, MODEL, *options)
    assert times(faked, "finetune", "hybrid") == 1
    for name in ("data/crops/rendered-32px/recipe.json", f"{Path(MODEL).parent}/recipe.json"):
        assert (faked.folder / name).read_bytes() == before[name]


SITUATIONS = [
    (("data/crops", "data/raw"), EXPORT, None),
    (("data/crops/rendered-32px/crops.h5", "results/tiny/default/evaluate"), EXPORT, None),
    (("results/tiny/default/evaluate/test/rendered/hybrid",), EXPORT, {"evaluate": {"flip_test": True}}),
    (("data/splits", "results/tiny/default/pretrain"), "all", {"arms": {"third": {"init": "ssl:rotation"}}}),
    (("results/tiny/default/compare/table.md", "data/cards"), "all", None),
    (("results/tiny/default/compare/figures",), "all", None),
    (("results/tiny/default/report/report.html",), "all", None),
    (("results/tiny/default/report", "results/tiny/default/finetune/baseline"), "all", LONGER),
    (("data",), "all_data", None),
    (("data/raw", "results/tiny/default/finetune"), "all_finetuned", {"seeds": [0, 1]}),
]


@pytest.mark.parametrize(("deleted", "target", "change"), SITUATIONS)
def test_what_was_asked_for_is_there_when_snakemake_ends_well(
    faked: FakeSteps, deleted: tuple[str, ...], target: str, change: dict | None
):
    for name in deleted:
        path = faked.folder / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    succeeds(faked, target, overlay=change)
    if target == EXPORT:
        assert all((faked.folder / EXPORT).with_name(name).exists() for name in FILES["export_model"])
    if target == "all":
        for step, folder in (("compare", "compare"), ("write_report", "report")):
            made = faked.folder / "results/tiny/default" / folder
            assert all((made / name).exists() for name in FILES[step])
    assert not faked.planned(change, target), "a dry run finds nothing that is left"
