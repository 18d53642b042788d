# REQUIRED INPUTS  a fine-tuned model; crops and split of a test data set
# OUTPUTS          results/{study}/evaluate[/{kind}]/{dataset}/{arm}/seed{seed}, results/{study}/compare[/{question}],
#                  results/{study}[/report/{question}]/report.html, results/{study}/export/{arm}/seed{seed} where asked for


def as_options(option, files):
    """The folders of these files, each behind the option's name."""
    return " ".join(f"{option} {os.path.dirname(file)}" for file in files)


def of_all(folders, name, of):
    """The file of this name in every folder, as input of the results in another."""
    return [dated(f"{folder}/{name}", of) for folder in folders]


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


KIND = plan.evaluated.removeprefix(f"{plan.results}/evaluate").replace("/", "-")
EVALUATED = f"{plan.evaluated}/{{dataset}}/{{arm}}/seed{{seed}}"
EXPORTED = f"{plan.results}/export/{{arm}}/seed{{seed}}"


rule evaluate:
    input:
        recipe=recipe_of(EVALUATED),
        model=result(f"{FINETUNED}/model.safetensors", EVALUATED),
        crops=result(f"{plan.crops('{dataset}')}/crops.h5", EVALUATED),
        split=result(f"{plan.split('{dataset}')}/split.json", EVALUATED),
    output:
        f"{EVALUATED}/metrics.json",
        f"{EVALUATED}/predictions.parquet",
        f"{EVALUATED}/recipe.json",
    log:
        f"logs/evaluate/{plan.study}{KIND}-{{dataset}}-{{arm}}-seed{{seed}}.log",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        "python -m pipeline_steps.evaluate --recipe {input.recipe} --model {input.model} --crops {input.crops}"
        " --split {input.split} --output {params.folder} --threads {threads} 2>&1 | tee {log}"


rule export_model:
    input:
        recipe=recipe_of(EXPORTED),
        model=result(f"{FINETUNED}/model.safetensors", EXPORTED),
        crops=result(f"{plan.crops(params.train_on)}/crops.h5", EXPORTED),
        split=result(f"{plan.split(params.train_on)}/split.json", EXPORTED),
        card=result(f"{plan.card(params.train_on)}/recipe.json", EXPORTED),
        evaluations=lambda w: of_all(
            plan.evaluations_of(w.arm, w.seed), "recipe.json", EXPORTED.format(**w)
        ),
    output:
        f"{EXPORTED}/model.onnx",
        f"{EXPORTED}/model_int8.onnx",
        f"{EXPORTED}/model.pt2",
        f"{EXPORTED}/model.safetensors",
        f"{EXPORTED}/export.json",
        f"{EXPORTED}/README.md",
        f"{EXPORTED}/recipe.json",
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
        evaluations=of_all(plan.evaluations(), "recipe.json", COMPARISON),
        trainings=of_all(plan.finetunings(), "recipe.json", COMPARISON),
        pretrainings=of_all(plan.pretrainings(), "recipe.json", COMPARISON),
        splits=of_all(plan.splits(), "recipe.json", COMPARISON),
        crops=of_all(plan.test_crops(), "crops.h5", COMPARISON),
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
        comparison=dated(f"{COMPARISON}/recipe.json", plan.report),
        cards=of_all(plan.cards(), "recipe.json", plan.report),
        evaluations=of_all(plan.evaluations(), "recipe.json", plan.report),
        trainings=of_all(plan.finetunings(), "recipe.json", plan.report),
        pretrainings=of_all(plan.pretrainings(), "recipe.json", plan.report),
        crops=of_all(plan.test_crops(), "crops.h5", plan.report),
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
