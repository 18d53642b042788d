"""rejected.csv is read as it was written, and anything else is refused in one line."""

from pathlib import Path

import pytest

from pipeline_steps.images.rejected_file import Rejected, read_rejected, write_rejected
from pipeline_steps.job.errors import UserError


def test_rejected_images_survive_their_file(tmp_path: Path):
    rejected = [Rejected("a, b/ä.png", 'a "quoted", long reason'), Rejected("c", "cut")]
    write_rejected(tmp_path / "rejected.csv", rejected)
    assert read_rejected(tmp_path / "rejected.csv") == rejected
    write_rejected(tmp_path / "rejected.csv", [])
    assert read_rejected(tmp_path / "rejected.csv") == []


@pytest.mark.parametrize(
    "content", [None, b"", b"source_id,reason\na\n", b"source_id,why\na,b\n", b"source_id,reason\n\xff,b\n"]
)
def test_a_corrupt_list_is_refused_in_one_line(tmp_path: Path, content: bytes | None):
    path = tmp_path / "rejected.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"not a list of rejected images .*; run crop_faces again") as error:
        read_rejected(path)
    assert "\n" not in str(error.value)
