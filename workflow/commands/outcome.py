"""What the study of params.yaml came to: python -m workflow.commands.outcome prints table and paths."""

from pathlib import Path

from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from workflow.params import load_params
from workflow.plan import Plan


def outcome() -> None:
    """Print the table of the comparison, and the paths of table, report and models."""
    plan = Plan(load_params())
    table = Path(plan.comparison, "table.md")
    if not table.exists():
        raise UserError(f"{table}: not there yet; run: make reproduce")
    print(f"\n{table.read_text('utf-8')}")
    print(f"table    {table}")
    print(f"report   {plan.report}/report.html")
    print(f"models   {plan.layout.finetuning('*', '*')}/model.safetensors")
    print("runs     make ui")


if __name__ == "__main__":
    main(outcome)
