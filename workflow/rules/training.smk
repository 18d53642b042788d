# REQUIRED INPUTS  crops and split of the training data set; for an arm with init, the backbone's weights
# OUTPUTS          results/{study}/pretrain/{pretext}/seed{seed}, results/{study}/finetune/{arm}/seed{seed}

LABELLED = plan.training_data()
UNLABELLED = plan.training_data(params.pretrain_on)


def initial_weights(wildcards):
    """The file that an arm's backbone starts from, or none."""
    init = params.arms[wildcards.arm].init
    if init.startswith("ssl:"):
        folder = f"{plan.results}/pretrain/{init.removeprefix('ssl:')}"
        return [result(f"{folder}/seed{wildcards.seed}/encoder.safetensors")]
    return [result(init.removeprefix("file:"))] if init.startswith("file:") else []


def equal_results(wildcards, output):
    """The option that names finished results of an equal recipe, whatever its study and arm are called."""
    equal = upkeep.equal(os.path.dirname(output[0]))
    return f"--equal {shlex.quote(str(equal))}" if equal else ""


rule pretrain:
    input:
        recipe=lambda w: plan.recipe_file(
            f"{plan.results}/pretrain/{w.pretext}/seed{w.seed}"
        ),
        crops=result(f"{UNLABELLED['crops']}/crops.h5"),
        split=result(f"{UNLABELLED['split']}/split.json"),
    output:
        f"{plan.results}/pretrain/{{pretext}}/seed{{seed}}/encoder.safetensors",
        f"{plan.results}/pretrain/{{pretext}}/seed{{seed}}/history.csv",
        f"{plan.results}/pretrain/{{pretext}}/seed{{seed}}/run.json",
        f"{plan.results}/pretrain/{{pretext}}/seed{{seed}}/recipe.json",
    log:
        f"logs/pretrain/{plan.study}-{{pretext}}-seed{{seed}}.log",
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
        recipe=lambda w: plan.recipe_file(
            f"{plan.results}/finetune/{w.arm}/seed{w.seed}"
        ),
        crops=result(f"{LABELLED['crops']}/crops.h5"),
        split=result(f"{LABELLED['split']}/split.json"),
        encoder=initial_weights,
    output:
        f"{plan.results}/finetune/{{arm}}/seed{{seed}}/model.safetensors",
        f"{plan.results}/finetune/{{arm}}/seed{{seed}}/history.csv",
        f"{plan.results}/finetune/{{arm}}/seed{{seed}}/run.json",
        f"{plan.results}/finetune/{{arm}}/seed{{seed}}/recipe.json",
    log:
        f"logs/finetune/{plan.study}-{{arm}}-seed{{seed}}.log",
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
