# REQUIRED INPUTS  a fine-tuned model; crops and split of a test data set
# OUTPUTS          below results/{study}/{size}: evaluate/{kind}/{dataset}/{arm}/seed{seed}, compare[/{question}],
#                  report[/{question}], and export/{arm}/seed{seed} on request

EVALUATED = plan.evaluation("{dataset}", "{arm}", "{seed}")
EXPORTED = plan.layout.export("{arm}", "{seed}")
MODEL = f"{FINETUNED}/model.safetensors"
NAMES = (plan.layout.name, params.question)


def options(**folders):
    """Every folder behind the option's name."""
    return " ".join(
        f"--{option} {folder}" for option, of in folders.items() for folder in of
    )


COMPARED = options(
    evaluation=plan.evaluations(),
    training=plan.finetunings(),
    pretraining=plan.pretrainings(),
    crops=[crops_of(name) for name in params.test_on],
)


rule evaluate:
    input:
        read_by(EVALUATED, MODEL, crops_of("{dataset}"), split_of("{dataset}")),
        recipe=recipe_of(EVALUATED),
    output:
        layout.outputs("evaluate", EVALUATED),
    log:
        layout.log(
            "evaluate",
            plan.layout.name,
            params.evaluate.name,
            "{dataset}",
            "{arm}",
            "seed{seed}",
        ),
    params:
        folder=EVALUATED,
        take_back=take_back(EVALUATED),
        model=MODEL,
        crops=crops_of("{dataset}"),
        split=split_of("{dataset}"),
    shell:
        "({params.take_back} python -m pipeline_steps.evaluate --recipe {input.recipe} --model {params.model} --crops {params.crops}"
        " --split {params.split} --output {params.folder} --threads {threads}) 2>&1 | tee {log}"


rule export_model:
    input:
        read_by(
            EXPORTED,
            MODEL,
            crops_of(params.train_on),
            split_of(params.train_on),
            *(f"{card}/card.json" for card in plan.cards_for_export()),
            *seals(plan.evaluations_of("{arm}", "{seed}")),
        ),
        recipe=recipe_of(EXPORTED),
    output:
        layout.outputs("export_model", EXPORTED),
    log:
        layout.log("export_model", plan.layout.name, "{arm}", "seed{seed}"),
    params:
        folder=EXPORTED,
        take_back=take_back(EXPORTED),
        training=FINETUNED,
        crops=crops_of(params.train_on),
        split=split_of(params.train_on),
        cards=options(card=plan.cards_for_export()),
        evaluations=lambda w: options(evaluation=plan.evaluations_of(w.arm, w.seed)),
    shell:
        "({params.take_back} python -m pipeline_steps.export_model --recipe {input.recipe} --training {params.training}"
        " --crops {params.crops} --split {params.split} {params.cards} {params.evaluations}"
        " --output {params.folder} --threads {threads}) 2>&1 | tee {log}"


rule compare:
    input:
        read_by(plan.comparison, *seals(plan.jobs[plan.comparison].upstream)),
        recipe=recipe_of(plan.comparison),
    output:
        plan.jobs[plan.comparison].outputs,
    log:
        layout.log("compare", *NAMES),
    params:
        folder=plan.comparison,
        take_back=take_back(plan.comparison),
        compared=COMPARED,
        splits=options(split=plan.splits()),
        train_crops=crops_of(params.train_on),
    shell:
        "({params.take_back} python -m pipeline_steps.compare --recipe {input.recipe} --output {params.folder}"
        " {params.compared} {params.splits} --train-crops {params.train_crops}) 2>&1 | tee {log}"


rule write_report:
    input:
        read_by(plan.report, *seals(plan.jobs[plan.report].upstream)),
        recipe=recipe_of(plan.report),
    output:
        layout.outputs("write_report", plan.report),
    log:
        layout.log("write_report", *NAMES),
    params:
        folder=plan.report,
        take_back=take_back(plan.report),
        comparison=plan.comparison,
        compared=COMPARED,
        cards=options(card=plan.cards()),
    shell:
        "({params.take_back} python -m pipeline_steps.write_report --recipe {input.recipe} --output {params.folder}"
        " --comparison {params.comparison} {params.compared} {params.cards}) 2>&1 | tee {log}"
