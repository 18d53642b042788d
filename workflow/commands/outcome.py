"""What the study of params.yaml came to: python -m workflow.commands.outcome prints table and paths."""

from pathlib import Path

from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError
from workflow.params import load_params
from workflow.plan import Plan


def kinds_tested(plan: Plan) -> str:
    """Kinds of images in the study's test sets, such as photographs; said where none of them are."""
    records = [plan.catalogue.get(plan.kind(name)) for name in plan.params.test_on]
    kinds = sorted({record.shows if record else "images" for record in records})
    return ", ".join(kinds) + (" alone, not on photographs" if kinds == ["rendered heads"] else "")


def outcome() -> None:
    """Print the table of the comparison, and the paths of table, report and models."""
    plan = Plan(load_params())
    table = Path(plan.comparison, "table.md")
    if not table.exists():
        raise UserError(f"{table}: not there yet; run: make reproduce")
    print(f"\n{table.read_text('utf-8')}")
    print(f"tested   on {kinds_tested(plan)}")
    print(f"table    {table}")
    print(f"report   {plan.report}/report.html")
    print(f"models   {plan.layout.finetuning('*', '*')}/model.safetensors")
    print("runs     make ui")


if __name__ == "__main__":
    main(outcome)
