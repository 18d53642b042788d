"""Writes params.schema.json, which editors use to complete and check params.yaml: python -m workflow.schemas."""

from pathlib import Path

from pipeline_steps.files import write_json
from workflow.params import Params

SCHEMA = Path(__file__).parent / "params.schema.json"

if __name__ == "__main__":
    write_json(SCHEMA, Params.model_json_schema())
