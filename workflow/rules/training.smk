# REQUIRED INPUTS  crops and split of the training data set; for an arm with init, the backbone's weights
# OUTPUTS          results/{study}/pretrain/{pretext}/seed{seed}, results/{study}/finetune/{arm}/seed{seed}

PRETRAINED = f"{plan.results}/pretrain/{{pretext}}/seed{{seed}}"
FINETUNED = f"{plan.results}/finetune/{{arm}}/seed{{seed}}"
LABELLED = plan.training_data()
UNLABELLED = plan.training_data(params.pretrain_on)


def initial_weights(wildcards):
    """The file that an arm's backbone starts from, or none."""
    kind, _, name = params.arms[wildcards.arm].init.partition(":")
    if kind == "ssl":
        name = f"{PRETRAINED.format(pretext=name, seed=wildcards.seed)}/encoder.safetensors"
    return dated(name, FINETUNED.format(**wildcards)) if name else []


def equal_results(wildcards, output):
    """The option that names finished results of an equal recipe, whatever its study and arm are called."""
    equal = upkeep.equal(os.path.dirname(output[0]))
    return f"--equal {shlex.quote(str(equal))}" if equal else ""


# The longest jobs first, those that others wait for before all: cores that share a study then end at about one time.
rule pretrain:
    input:
        recipe=recipe_of(PRETRAINED),
        crops=result(f"{UNLABELLED['crops']}/crops.h5", PRETRAINED),
        split=result(f"{UNLABELLED['split']}/split.json", PRETRAINED),
    output:
        f"{PRETRAINED}/encoder.safetensors",
        f"{PRETRAINED}/history.csv",
        f"{PRETRAINED}/run.json",
        f"{PRETRAINED}/recipe.json",
    log:
        f"logs/pretrain/{plan.study}-{{pretext}}-seed{{seed}}.log",
    priority: 2
    resources:
        gpu=1,
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        key=lambda w, input: os.path.basename(input.recipe).removesuffix(".json"),
        devices=lambda w, resources: max(1, resources.gpu),
        equal=equal_results,
    shell:
        "python -m pipeline_steps.pretrain --recipe {input.recipe} --crops {input.crops} --split {input.split}"
        " --output {params.folder} --checkpoints checkpoints/{params.key}"
        " --threads {threads} --devices {params.devices} {params.equal} 2>&1 | tee {log}"


rule finetune:
    input:
        recipe=recipe_of(FINETUNED),
        crops=result(f"{LABELLED['crops']}/crops.h5", FINETUNED),
        split=result(f"{LABELLED['split']}/split.json", FINETUNED),
        encoder=initial_weights,
    output:
        f"{FINETUNED}/model.safetensors",
        f"{FINETUNED}/history.csv",
        f"{FINETUNED}/run.json",
        f"{FINETUNED}/recipe.json",
    log:
        f"logs/finetune/{plan.study}-{{arm}}-seed{{seed}}.log",
    priority: 1
    resources:
        gpu=1,
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        key=lambda w, input: os.path.basename(input.recipe).removesuffix(".json"),
        devices=lambda w, resources: max(1, resources.gpu),
        equal=equal_results,
        encoder=lambda w, input: (
            f"--encoder {shlex.quote(str(input.encoder))}" if input.encoder else ""
        ),
    shell:
        "python -m pipeline_steps.finetune --recipe {input.recipe} --crops {input.crops} --split {input.split}"
        " {params.encoder} --output {params.folder} --checkpoints checkpoints/{params.key}"
        " --threads {threads} --devices {params.devices} {params.equal} 2>&1 | tee {log}"
