# REQUIRED INPUTS  a data set's parameters (a recipe); its archive, where it has one
# OUTPUTS          data/raw/{dataset}, data/{crops,splits,cards}/{dataset}-{size}px
# PRIORITY         all data before the first training: a broken test archive is no news for the end of a long study


RAW = "data/raw/{dataset}"
CROPS = "data/crops/{dataset}-{size}px"
CARD = "data/cards/{dataset}-{size}px"
SPLIT = "data/splits/{dataset}-{size}px"


rule acquire_dataset:
    input:
        recipe=recipe_of(RAW),
    output:
        f"{RAW}/recipe.json",
    log:
        "logs/acquire_dataset/{dataset}.log",
    priority: 3
    threads: workflow.cores
    params:
        archive=lambda w: (
            f"--archive {shlex.quote(str(a))}"
            if (a := plan.archive(w.dataset))
            else ""
        ),
        catalogue=shlex.quote(os.path.join(workflow.basedir, params.catalogue)),
    shell:
        "python -m pipeline_steps.acquire_dataset --recipe {input.recipe} --output data/raw/{wildcards.dataset}"
        " {params.archive} --catalogue {params.catalogue} --threads {threads} 2>&1 | tee {log}"


def raw_files(wildcards):
    """Raw files as input, but where up-to-date crops were restored without them, which is how DVC keeps data."""
    raw = f"{RAW.format(**wildcards)}/recipe.json"
    crops = CROPS.format(**wildcards)
    if upkeep.is_current(crops) and not os.path.exists(raw):
        return []
    return dated(raw, crops)


rule crop_faces:
    input:
        recipe=recipe_of(CROPS),
        raw=raw_files,
    output:
        f"{CROPS}/crops.h5",
        f"{CROPS}/rejected.csv",
        f"{CROPS}/recipe.json",
    log:
        "logs/crop_faces/{dataset}-{size}px.log",
    priority: 3
    threads: workflow.cores
    shell:
        "python -m pipeline_steps.crop_faces --recipe {input.recipe} --raw data/raw/{wildcards.dataset}"
        " --output data/crops/{wildcards.dataset}-{wildcards.size}px --threads {threads} 2>&1 | tee {log}"


rule describe_dataset:
    input:
        recipe=recipe_of(CARD),
        crops=result(f"{CROPS}/crops.h5", CARD),
    output:
        f"{CARD}/card.html",
        f"{CARD}/card.json",
        f"{CARD}/contact_sheet.jpg",
        f"{CARD}/recipe.json",
    log:
        "logs/describe_dataset/{dataset}-{size}px.log",
    priority: 3
    shell:
        "python -m pipeline_steps.describe_dataset --recipe {input.recipe}"
        " --crops data/crops/{wildcards.dataset}-{wildcards.size}px"
        " --output data/cards/{wildcards.dataset}-{wildcards.size}px 2>&1 | tee {log}"


rule split_dataset:
    input:
        recipe=recipe_of(SPLIT),
        crops=result(f"{CROPS}/crops.h5", SPLIT),
    output:
        f"{SPLIT}/split.json",
        f"{SPLIT}/recipe.json",
    log:
        "logs/split_dataset/{dataset}-{size}px.log",
    priority: 3
    params:
        protocol=lambda w: (
            f"--protocol {shlex.quote(os.path.join(workflow.basedir, p))}"
            if (p := params.datasets[w.dataset].split.protocol)
            else ""
        ),
    shell:
        "python -m pipeline_steps.split_dataset --recipe {input.recipe} --crops {input.crops} {params.protocol}"
        " --output data/splits/{wildcards.dataset}-{wildcards.size}px 2>&1 | tee {log}"
