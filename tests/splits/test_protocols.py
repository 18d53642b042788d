"""The protocols of the repository, and the checksum that stands for one."""

from pathlib import Path

import pytest

from pipeline_steps.splits.protocols import listed_images, protocol_checksum, read_protocol
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


def test_the_checksum_changes_with_the_protocol_and_with_its_list(tmp_path: Path):
    path, images = tmp_path / "protocol.yaml", tmp_path / "list.txt"
    checksums = set()
    for source, listed in (("a", "1\n2\n"), ("b", "1\n2\n"), ("b", "1\n3\n")):
        path.write_text(f"title: t\nsource: {source}\nverified: true\nimages: list.txt\n")
        images.write_text(listed)
        checksums.add(protocol_checksum(read_protocol(path), path))
    assert len(checksums) == 3
