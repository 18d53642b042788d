"""The protocols of the repository, and the checksum that stands for one."""

from pathlib import Path

import pytest

from pipeline_steps.acquisition.catalogue import read_catalogue
from pipeline_steps.job.errors import UserError
from pipeline_steps.splits.protocols import Protocol, listed_images, protocol_checksum, read_protocol
from tests.conftest import ROOT

PROTOCOLS = sorted((ROOT / "workflow/resources/protocols").glob("*.yaml"))


@pytest.mark.parametrize("path", PROTOCOLS, ids=lambda p: p.stem)
def test_every_protocol_reads_and_names_its_source(path):
    protocol = read_protocol(path)
    assert len(protocol.source) > 40
    assert protocol.verified or protocol.notes, "a protocol that could not be verified says why"
    listed = listed_images(protocol, path)
    if listed is not None:
        assert len(listed) == len(set(listed)) == protocol.expected_images


@pytest.mark.parametrize(
    ("name", "everyone", "images"),
    [
        ("aflw2000_99_degrees", True, 1969),
        ("w300lp_99_degrees", False, None),  # its people are drawn
        ("biwi_13219_frames", True, 13219),
        ("biwi_70_30", False, 4777),  # the recordings 02, 21, 08, 11, 12, 13, 19 and 23
    ],
)
def test_the_official_number_of_test_images(name, everyone, images):
    protocol = read_protocol(ROOT / f"workflow/resources/protocols/{name}.yaml")
    assert protocol.official_test_images(everyone) == images
    complete = read_catalogue()[name.partition("_")[0]].images
    assert protocol.expected_images <= complete
    frames = [511, 634, 772, 572, 732, 485, 502, 569]  # of these recordings in the official archive
    assert name != "biwi_70_30" or (sum(frames), protocol.expected_images) == (images, complete)


def test_a_number_of_test_images_needs_test_subjects(tmp_path: Path):
    path = tmp_path / "protocol.yaml"
    path.write_text("title: t\nsource: s\nverified: true\nexpected_test_images: 3\n")
    with pytest.raises(UserError, match=r"protocol\.yaml.*expected_test_images: `test` names no subjects"):
        read_protocol(path)
    assert Protocol(title="t", source="s", verified=True, test=["a"]).official_test_images(everyone=True) is None


def test_the_checksum_changes_with_the_protocol_and_with_its_list(tmp_path: Path):
    path, images = tmp_path / "protocol.yaml", tmp_path / "list.txt"
    checksums = set()
    for source, listed in (("a", "1\n2\n"), ("b", "1\n2\n"), ("b", "1\n3\n")):
        path.write_text(f"title: t\nsource: {source}\nverified: true\nimages: list.txt\n")
        images.write_text(listed)
        checksums.add(protocol_checksum(read_protocol(path), path))
    assert len(checksums) == 3
