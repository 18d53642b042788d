# REQUIRED INPUTS  a data set's parameters (a recipe); its archive, where it has one
# OUTPUTS          data/raw/{dataset}, data/{crops,splits,cards}/{dataset}-{size}px
# ORDER            trainings wait for crops and splits of all data sets (training.smk), so that data jobs get all cores


RAW = layout.raw("{dataset}")
CROPS = layout.crops("{dataset}", "{size}")
CARD = layout.card("{dataset}", "{size}")
SPLIT = layout.split("{dataset}", "{size}")


rule acquire_dataset:
    input:
        recipe=recipe_of(RAW),
    output:
        layout.outputs("acquire_dataset", RAW),
    log:
        layout.log("acquire_dataset", "{dataset}"),
    priority: 3
    threads: workflow.cores
    params:
        folder=RAW,
        take_back=take_back(RAW),
        archive=lambda w: (
            f"--archive {shlex.quote(str(a))}"
            if (a := plan.archive(w.dataset))
            else ""
        ),
        catalogue=shlex.quote(os.path.join(workflow.basedir, params.catalogue)),
    shell:
        "({params.take_back} python -m pipeline_steps.acquire_dataset --recipe {input.recipe} --output {params.folder}"
        " {params.archive} --catalogue {params.catalogue} --threads {threads}) 2>&1 | tee {log}"


rule crop_faces:
    input:
        read_by(CROPS, layout.seal(RAW)),
        recipe=recipe_of(CROPS),
    output:
        layout.outputs("crop_faces", CROPS),
    log:
        layout.log("crop_faces", "{dataset}", "{size}px"),
    priority: 3
    threads: workflow.cores
    params:
        folder=CROPS,
        take_back=take_back(CROPS),
        raw=RAW,
    shell:
        "({params.take_back} python -m pipeline_steps.crop_faces --recipe {input.recipe} --raw {params.raw}"
        " --output {params.folder} --threads {threads}) 2>&1 | tee {log}"


rule describe_dataset:
    input:
        read_by(CARD, f"{CROPS}/crops.h5", f"{CROPS}/rejected.csv"),
        recipe=recipe_of(CARD),
    output:
        layout.outputs("describe_dataset", CARD),
    log:
        layout.log("describe_dataset", "{dataset}", "{size}px"),
    priority: 3
    params:
        folder=CARD,
        take_back=take_back(CARD),
        crops=CROPS,
    shell:
        "({params.take_back} python -m pipeline_steps.describe_dataset --recipe {input.recipe} --crops {params.crops}"
        " --output {params.folder}) 2>&1 | tee {log}"


rule split_dataset:
    input:
        read_by(SPLIT, f"{CROPS}/crops.h5"),
        recipe=recipe_of(SPLIT),
    output:
        layout.outputs("split_dataset", SPLIT),
    log:
        layout.log("split_dataset", "{dataset}", "{size}px"),
    priority: 3
    params:
        folder=SPLIT,
        take_back=take_back(SPLIT),
        crops=f"{CROPS}/crops.h5",
        protocol=lambda w: (
            f"--protocol {shlex.quote(os.path.join(workflow.basedir, p))}"
            if (p := params.datasets[w.dataset].split.protocol)
            else ""
        ),
    shell:
        "({params.take_back} python -m pipeline_steps.split_dataset --recipe {input.recipe} --crops {params.crops} {params.protocol}"
        " --output {params.folder}) 2>&1 | tee {log}"
