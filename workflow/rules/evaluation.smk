# REQUIRED INPUTS  a fine-tuned model; crops and split of a test data set
# OUTPUTS          results/{study}/evaluate/{dataset}/{arm}/seed{seed}, results/{study}/compare[/{question}]


def as_options(option, files):
    """The folders of these files, each behind the option's name."""
    return " ".join(f"{option} {os.path.dirname(file)}" for file in files)


rule evaluate:
    input:
        recipe=lambda w: plan.recipe_file(
            f"{plan.evaluated}/{w.dataset}/{w.arm}/seed{w.seed}"
        ),
        model=lambda w: result(
            f"{plan.results}/finetune/{w.arm}/seed{w.seed}/model.safetensors"
        ),
        crops=lambda w: result(f"{plan.crops(w.dataset)}/crops.h5"),
        split=lambda w: result(f"{plan.split(w.dataset)}/split.json"),
    output:
        f"{plan.evaluated}/{{dataset}}/{{arm}}/seed{{seed}}/metrics.json",
        f"{plan.evaluated}/{{dataset}}/{{arm}}/seed{{seed}}/predictions.parquet",
        f"{plan.evaluated}/{{dataset}}/{{arm}}/seed{{seed}}/recipe.json",
    log:
        f"logs/{os.path.basename(plan.evaluated)}/{plan.study}-{{dataset}}-{{arm}}-seed{{seed}}.log",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        "python -m pipeline_steps.evaluate --recipe {input.recipe} --model {input.model} --crops {input.crops}"
        " --split {input.split} --output {params.folder} --threads {threads} 2>&1 | tee {log}"


COMPARISON = plan.comparison


def table_of(name, category, labels):
    """A table of the comparison, to be shown in the report."""
    return report(
        f"{COMPARISON}/{name}.csv",
        caption=f"../report/{name}.rst",
        category=category,
        labels=labels,
    )


def figure_of(name, category, dataset, shows, prefix=""):
    """A figure of the comparison, to be shown in the report."""
    return report(
        f"{COMPARISON}/figures/{prefix}{name}.svg",
        caption=f"../report/{name}.rst",
        category=category,
        labels={"data set": dataset, "shows": shows},
    )


PROBES = [
    f"{COMPARISON}/probes.csv",
    figure_of(
        "pretraining_probe",
        "Training",
        params.pretrain_on or params.train_on,
        "pose probe by images seen",
    ),
]
LABELS = [
    f"{COMPARISON}/label_curve.csv",
    table_of("labels_saved", "Results", {"data set": "all", "shows": "labels saved"}),
    *(
        figure_of("label_curve", "Results", dataset, "error by labels", f"{dataset}_")
        for dataset in params.test_on
    ),
]


rule compare:
    input:
        recipe=plan.recipe_file(COMPARISON),
        evaluations=[result(f"{folder}/recipe.json") for folder in plan.evaluations()],
        trainings=[result(f"{folder}/recipe.json") for folder in plan.finetunings()],
        pretrainings=[result(f"{folder}/recipe.json") for folder in plan.pretrainings()],
        splits=[result(f"{folder}/recipe.json") for folder in plan.splits()],
        crops=[result(f"{folder}/crops.h5") for folder in plan.test_crops()],
    output:
        f"{COMPARISON}/table.md",
        table_of("table", "Results", {"data set": "all", "shows": "errors of all arms"}),
        table_of(
            "costs",
            "Training",
            {"data set": params.train_on, "shows": "costs of all arms"},
        ),
        f"{COMPARISON}/metrics.json",
        f"{COMPARISON}/design.csv",
        f"{COMPARISON}/worst.csv",
        f"{COMPARISON}/error_by_yaw.csv",
        f"{COMPARISON}/cumulative_error.csv",
        f"{COMPARISON}/training_curves.csv",
        figure_of(
            "training_curves", "Training", params.train_on, "validation error by epoch"
        ),
        [
            figure_of(figure, "Results", dataset, shows, f"{dataset}_")
            for dataset in params.test_on
            for figure, shows in (
                ("error_by_yaw", "error by yaw"),
                ("cumulative_error", "cumulative error"),
                ("faces", "best and worst predictions"),
            )
        ],
        PROBES if plan.pretrainings() else [],
        LABELS if plan.label_curves() else [],
        f"{COMPARISON}/recipe.json",
    log:
        f"logs/compare/{plan.study}{params.question and '-' + params.question or ''}.log",
    params:
        evaluations=lambda w, input: as_options("--evaluation", input.evaluations),
        trainings=lambda w, input: as_options("--training", input.trainings),
        pretrainings=lambda w, input: as_options("--pretraining", input.pretrainings),
        splits=lambda w, input: as_options("--split", input.splits),
        crops=lambda w, input: " ".join(f"--crops {path}" for path in input.crops),
        folder=COMPARISON,
    shell:
        "python -m pipeline_steps.compare --recipe {input.recipe} --output {params.folder} {params.evaluations}"
        " {params.trainings} {params.pretrainings} {params.splits} {params.crops} 2>&1 | tee {log}"
