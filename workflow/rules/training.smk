# REQUIRED INPUTS  crops and split of the training data set; for an arm with init, the backbone's weights
# OUTPUTS          results/{study}/{size}/pretrain/{pretext}/seed{seed}, results/{study}/{size}/finetune/{arm}/seed{seed}

PRETRAINED = plan.layout.pretraining("{pretext}", "{seed}")
FINETUNED = plan.layout.finetuning("{arm}", "{seed}")
UNLABELLED = params.pretrain_on or params.train_on


def data_of(*datasets):
    """Seals of crops and splits, which trainings wait for: a broken test archive stops a long study at its start."""
    return seals(
        of(name) for name in dict.fromkeys(datasets) for of in (plan.crops, plan.split)
    )


def crops_of(dataset):
    """The crops of a data set at the study's size."""
    return f"{plan.crops(dataset)}/crops.h5"


def split_of(dataset):
    """The split of a data set at the study's size."""
    return f"{plan.split(dataset)}/split.json"


def encoder_of(wildcards):
    """The file that an arm's backbone starts from; empty where there is none."""
    kind, _, name = params.arms[wildcards.arm].init.partition(":")
    if kind == "ssl":
        return f"{plan.layout.pretraining(name, wildcards.seed)}/encoder.safetensors"
    return name


def pretrained(wildcards):
    """The encoder that an arm starts from as input, where it is pre-trained here."""
    if not params.arms[wildcards.arm].init.startswith("ssl:"):
        return []
    return read_by(FINETUNED, encoder_of(wildcards))(wildcards)


def equal_training(wildcards, output):
    """The option that names a finished training with an equal recipe, whatever its study and arm are called."""
    equal = state.equal_training(os.path.dirname(output[0]))
    return f"--equal {shlex.quote(str(equal))}" if equal else ""


def unfinished(wildcards, input):
    """The folder of the job's checkpoint, named by its fingerprint."""
    return layout.checkpoints(os.path.basename(input.recipe).removesuffix(".json"))


# The longest jobs first, and those before all that others wait for: cores that share a study then end at about one time.
rule pretrain:
    input:
        read_by(
            PRETRAINED,
            crops_of(UNLABELLED),
            split_of(UNLABELLED),
            *data_of(*plan.datasets()),
        ),
        recipe=recipe_of(PRETRAINED),
    output:
        layout.outputs("pretrain", PRETRAINED),
    log:
        layout.log("pretrain", plan.layout.name, "{pretext}", "seed{seed}"),
    priority: 2
    resources:
        gpu=1,
    params:
        folder=PRETRAINED,
        take_back=take_back(PRETRAINED),
        crops=crops_of(UNLABELLED),
        split=split_of(UNLABELLED),
        checkpoints=unfinished,
        devices=lambda w, resources: max(1, resources.gpu),
        equal=equal_training,
    shell:
        "({params.take_back} python -m pipeline_steps.pretrain --recipe {input.recipe} --crops {params.crops} --split {params.split}"
        " --output {params.folder} --checkpoints {params.checkpoints}"
        " --threads {threads} --devices {params.devices} {params.equal}) 2>&1 | tee {log}"


rule finetune:
    input:
        read_by(
            FINETUNED,
            crops_of(params.train_on),
            split_of(params.train_on),
            *data_of(params.train_on, *params.test_on),
        ),
        pretrained,
        recipe=recipe_of(FINETUNED),
    output:
        layout.outputs("finetune", FINETUNED),
    log:
        layout.log("finetune", plan.layout.name, "{arm}", "seed{seed}"),
    priority: 1
    resources:
        gpu=1,
    params:
        folder=FINETUNED,
        take_back=take_back(FINETUNED),
        crops=crops_of(params.train_on),
        split=split_of(params.train_on),
        checkpoints=unfinished,
        devices=lambda w, resources: max(1, resources.gpu),
        equal=equal_training,
        encoder=lambda w: (
            f"--encoder {shlex.quote(path)}" if (path := encoder_of(w)) else ""
        ),
    shell:
        "({params.take_back} python -m pipeline_steps.finetune --recipe {input.recipe} --crops {params.crops} --split {params.split}"
        " {params.encoder} --output {params.folder} --checkpoints {params.checkpoints}"
        " --threads {threads} --devices {params.devices} {params.equal}) 2>&1 | tee {log}"
