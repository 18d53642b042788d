# REQUIRED INPUTS  a fine-tuned model; crops and split of a test data set
# OUTPUTS          results/{study}/evaluate/{dataset}/{arm}/seed{seed}, results/{study}/compare[/{question}],
#                  results/{study}[/report/{question}]/report.html, results/{study}/export/{arm}/seed{seed} where asked for


def as_options(option, files):
    """The folders of these files, each behind the option's name."""
    return " ".join(f"{option} {os.path.dirname(file)}" for file in files)


def compared(wildcards, input):
    """The options that name what a comparison is made from."""
    return " ".join(
        [
            as_options("--evaluation", input.evaluations),
            as_options("--training", input.trainings),
            as_options("--pretraining", input.pretrainings),
            *(f"--crops {path}" for path in input.crops),
        ]
    )


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


rule export_model:
    input:
        recipe=lambda w: plan.recipe_file(f"{plan.results}/export/{w.arm}/seed{w.seed}"),
        model=lambda w: result(
            f"{plan.results}/finetune/{w.arm}/seed{w.seed}/model.safetensors"
        ),
        crops=result(f"{plan.crops(params.train_on)}/crops.h5"),
        split=result(f"{plan.split(params.train_on)}/split.json"),
        card=result(f"{plan.card(params.train_on)}/recipe.json"),
        evaluations=lambda w: [
            result(f"{folder}/recipe.json")
            for folder in plan.evaluations_of(w.arm, w.seed)
        ],
    output:
        f"{plan.results}/export/{{arm}}/seed{{seed}}/model.onnx",
        f"{plan.results}/export/{{arm}}/seed{{seed}}/model_int8.onnx",
        f"{plan.results}/export/{{arm}}/seed{{seed}}/model.pt2",
        f"{plan.results}/export/{{arm}}/seed{{seed}}/model.safetensors",
        f"{plan.results}/export/{{arm}}/seed{{seed}}/export.json",
        f"{plan.results}/export/{{arm}}/seed{{seed}}/README.md",
        f"{plan.results}/export/{{arm}}/seed{{seed}}/recipe.json",
    log:
        f"logs/export_model/{plan.study}-{{arm}}-seed{{seed}}.log",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        training=lambda w, input: os.path.dirname(input.model),
        card=plan.card(params.train_on),
        evaluations=lambda w, input: as_options("--evaluation", input.evaluations),
    shell:
        "python -m pipeline_steps.export_model --recipe {input.recipe} --training {params.training} --crops {input.crops}"
        " --split {input.split} --card {params.card} {params.evaluations} --output {params.folder}"
        " --threads {threads} 2>&1 | tee {log}"


COMPARISON = plan.comparison


PROBES = ["probes.csv", "figures/pretraining_probe.svg"]
LABELS = [
    "label_curve.csv",
    "labels_saved.csv",
    *(f"figures/{dataset}_label_curve.svg" for dataset in params.test_on),
]
FIGURES = [
    f"{dataset}_{figure}"
    for dataset in params.test_on
    for figure in ("error_by_yaw", "cumulative_error", "faces")
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
        f"{COMPARISON}/table.csv",
        f"{COMPARISON}/costs.csv",
        f"{COMPARISON}/metrics.json",
        f"{COMPARISON}/design.csv",
        f"{COMPARISON}/worst.csv",
        f"{COMPARISON}/error_by_yaw.csv",
        f"{COMPARISON}/cumulative_error.csv",
        f"{COMPARISON}/training_curves.csv",
        f"{COMPARISON}/figures/training_curves.svg",
        [f"{COMPARISON}/figures/{figure}.svg" for figure in FIGURES],
        [f"{COMPARISON}/{name}" for name in (PROBES if plan.pretrainings() else [])],
        [f"{COMPARISON}/{name}" for name in (LABELS if plan.label_curves() else [])],
        f"{COMPARISON}/recipe.json",
    log:
        f"logs/compare/{plan.study}{params.question and '-' + params.question or ''}.log",
    params:
        folder=COMPARISON,
        compared=compared,
        splits=lambda w, input: as_options("--split", input.splits),
    shell:
        "python -m pipeline_steps.compare --recipe {input.recipe} --output {params.folder}"
        " {params.compared} {params.splits} 2>&1 | tee {log}"


rule write_report:
    input:
        recipe=plan.recipe_file(plan.report),
        comparison=result(f"{COMPARISON}/recipe.json"),
        cards=[result(f"{folder}/recipe.json") for folder in plan.cards()],
        evaluations=[result(f"{folder}/recipe.json") for folder in plan.evaluations()],
        trainings=[result(f"{folder}/recipe.json") for folder in plan.finetunings()],
        pretrainings=[result(f"{folder}/recipe.json") for folder in plan.pretrainings()],
        crops=[result(f"{folder}/crops.h5") for folder in plan.test_crops()],
    output:
        f"{plan.report}/report.html",
        f"{plan.report}/recipe.json",
    log:
        f"logs/write_report/{plan.study}{params.question and '-' + params.question or ''}.log",
    params:
        folder=plan.report,
        comparison=COMPARISON,
        compared=compared,
        cards=lambda w, input: as_options("--card", input.cards),
    shell:
        "python -m pipeline_steps.write_report --recipe {input.recipe} --output {params.folder}"
        " --comparison {params.comparison} {params.compared} {params.cards} 2>&1 | tee {log}"
