"""The table of data sets: where to get each one, how to recognise its archive, and the terms of its use.

python -m pipeline_steps.acquisition.catalogue    print the table of docs/data.md
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from pipeline_steps.job.errors import UserError, refusal
from pipeline_steps.job.strict import Strict
from pipeline_steps.job.yaml_file import read_yaml

CATALOGUE = Path(__file__).resolve().parents[2] / "workflow" / "resources" / "datasets.yaml"


class Record(Strict):
    """One row of the table; its key is the kind, the name of the module in `pipeline_steps/datasets/` that reads it."""

    title: str
    version: str
    page: str = Field(description="official page")
    file: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]+$", description="the archive's official name")
    access: Literal["download", "by hand", "generated", "yours"] = "by hand"
    urls: list[Annotated[str, Field(pattern=r"^https?://")]] = Field(
        default=[], description="addresses of the archive, in order of preference; none: by hand only"
    )
    bytes: Annotated[int, Field(gt=0)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="of the archive; where none is published, later downloads must equal the first"
    )
    images: int | None = Field(default=None, description="number of images in the complete data set")
    shows: Literal["photographs", "rendered heads", "your own images"] = Field(
        default="photographs", description="kind of the images, for which a model's errors hold"
    )
    labels: str
    licence: str
    accept: str = Field(description="what a user must accept or do before using the data")
    citation: str
    notes: str = ""

    @model_validator(mode="after")
    def _downloads_have_a_name_and_a_place(self) -> Self:
        if (self.access == "download") != bool(self.urls) or (self.urls and not self.file):
            raise ValueError("access is `download` where, and only where, `urls` and `file` are given")
        return self

    def by_hand(self, place: Path) -> str:
        """Instructions to get the archive by hand and put it at `place`."""
        return f"get {self.file} from {self.page} ({self.accept}) and put it at {place}"


def read_catalogue(path: Path = CATALOGUE) -> dict[str, Record]:
    """Rows of the table by kind; UserError that names the row and field where something is wrong."""
    try:
        rows: Any = read_yaml(path)
        return TypeAdapter(dict[str, Record]).validate_python(rows, strict=True)
    except OSError as error:
        raise UserError(f"{path}: not a readable table of data sets ({str(error).splitlines()[0]})") from error
    except ValidationError as error:
        raise refusal(error, str(path), rows) from error


def checksum_file(archive: Path) -> Path:
    """The file with the SHA-256 of an archive's first download, for archives without a published checksum."""
    return archive.with_name(f"{archive.name}.sha256")


def as_markdown(catalogue: dict[str, Record]) -> str:
    """The table as shown in the documentation."""
    import pandas as pd

    rows = [
        {
            "kind": f"`{kind}`",
            "data set": f"[{row.title}]({row.page})",
            "archive": f"`{row.file}`" if row.file else "",
            "access": row.access,
            "size": f"{row.bytes / 1e6:,.0f} MB" if row.bytes else "",
            "images": f"{row.images:,}" if row.images else "",
            "labels": row.labels,
            "licence": row.licence,
        }
        for kind, row in catalogue.items()
    ]
    return str(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)) + "\n"


if __name__ == "__main__":
    print(as_markdown(read_catalogue()), end="")
