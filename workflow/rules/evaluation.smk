# REQUIRED INPUTS  a fine-tuned model; crops and split of a test data set
# OUTPUTS          results/{study}/evaluate/{dataset}/{arm}/seed{seed}, results/{study}/compare


def as_options(option, files):
    """The folders of these files, each behind the option's name."""
    return " ".join(f"{option} {os.path.dirname(file)}" for file in files)


rule evaluate:
    input:
        recipe=lambda w: plan.recipe_file(
            f"{plan.results}/evaluate/{w.dataset}/{w.arm}/seed{w.seed}"
        ),
        model=lambda w: result(
            f"{plan.results}/finetune/{w.arm}/seed{w.seed}/model.safetensors"
        ),
        crops=lambda w: result(f"{plan.crops(w.dataset)}/crops.h5"),
        split=lambda w: result(f"{plan.split(w.dataset)}/split.json"),
    output:
        f"{plan.results}/evaluate/{{dataset}}/{{arm}}/seed{{seed}}/metrics.json",
        f"{plan.results}/evaluate/{{dataset}}/{{arm}}/seed{{seed}}/predictions.parquet",
        f"{plan.results}/evaluate/{{dataset}}/{{arm}}/seed{{seed}}/recipe.json",
    log:
        f"logs/evaluate/{params.study}-{{dataset}}-{{arm}}-seed{{seed}}.log",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        "python -m pipeline_steps.evaluate --recipe {input.recipe} --model {input.model} --crops {input.crops}"
        " --split {input.split} --output {params.folder} --threads {threads} 2>&1 | tee {log}"


COMPARISON = f"{plan.results}/compare"


rule compare:
    input:
        recipe=plan.recipe_file(COMPARISON),
        evaluations=[result(f"{folder}/recipe.json") for folder in plan.evaluations()],
        trainings=[result(f"{folder}/recipe.json") for folder in plan.finetunings()],
        crops=[result(f"{folder}/crops.h5") for folder in plan.test_crops()],
    output:
        f"{COMPARISON}/table.md",
        report(
            f"{COMPARISON}/table.csv",
            caption="../report/table.rst",
            category="Results",
            labels={"data set": "all", "shows": "errors of all arms"},
        ),
        f"{COMPARISON}/metrics.json",
        f"{COMPARISON}/error_by_yaw.csv",
        f"{COMPARISON}/cumulative_error.csv",
        f"{COMPARISON}/training_curves.csv",
        report(
            f"{COMPARISON}/figures/training_curves.svg",
            caption="../report/training_curves.rst",
            category="Training",
            labels={"data set": params.train_on, "shows": "validation error by epoch"},
        ),
        [
            report(
                f"{COMPARISON}/figures/{dataset}_{figure}.svg",
                caption=f"../report/{figure}.rst",
                category="Results",
                labels={"data set": dataset, "shows": shows},
            )
            for dataset in params.test_on
            for figure, shows in (
                ("error_by_yaw", "error by yaw"),
                ("cumulative_error", "cumulative error"),
                ("faces", "best and worst predictions"),
            )
        ],
        f"{COMPARISON}/recipe.json",
    log:
        f"logs/compare/{params.study}.log",
    params:
        evaluations=lambda w, input: as_options("--evaluation", input.evaluations),
        trainings=lambda w, input: as_options("--training", input.trainings),
        crops=lambda w, input: " ".join(f"--crops {path}" for path in input.crops),
        folder=COMPARISON,
    shell:
        "python -m pipeline_steps.compare --recipe {input.recipe} --output {params.folder} {params.evaluations}"
        " {params.trainings} {params.crops} 2>&1 | tee {log}"
