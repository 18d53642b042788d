"""Writes the JSON schema by which editors check params.yaml: python -m workflow.commands.schema."""

from pathlib import Path

from pipeline_steps.job.files import write_json
from workflow.params import Params

SCHEMA = Path(__file__).parents[1] / "resources" / "params.schema.json"

if __name__ == "__main__":
    write_json(SCHEMA, Params.model_json_schema())
