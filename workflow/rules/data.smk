# REQUIRED INPUTS  a data set's parameters (a recipe); its archive, where it has one
# OUTPUTS          data/raw/{dataset}, data/{crops,splits,cards}/{dataset}-{size}px
# PRIORITY         all data before the first training: a broken test archive is no news for the end of a long study


rule acquire_dataset:
    input:
        recipe=lambda w: plan.recipe_file(f"data/raw/{w.dataset}"),
    output:
        "data/raw/{dataset}/recipe.json",
    log:
        "logs/acquire_dataset/{dataset}.log",
    priority: 1
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
    raw = f"data/raw/{wildcards.dataset}/recipe.json"
    crops = f"data/crops/{wildcards.dataset}-{wildcards.size}px"
    return result(raw) if os.path.exists(raw) or not upkeep.is_current(crops) else []


rule crop_faces:
    input:
        recipe=lambda w: plan.recipe_file(f"data/crops/{w.dataset}-{w.size}px"),
        raw=raw_files,
    output:
        "data/crops/{dataset}-{size}px/crops.h5",
        "data/crops/{dataset}-{size}px/rejected.csv",
        "data/crops/{dataset}-{size}px/recipe.json",
    log:
        "logs/crop_faces/{dataset}-{size}px.log",
    priority: 1
    threads: workflow.cores
    shell:
        "python -m pipeline_steps.crop_faces --recipe {input.recipe} --raw data/raw/{wildcards.dataset}"
        " --output data/crops/{wildcards.dataset}-{wildcards.size}px --threads {threads} 2>&1 | tee {log}"


rule describe_dataset:
    input:
        recipe=lambda w: plan.recipe_file(f"data/cards/{w.dataset}-{w.size}px"),
        crops=lambda w: result(f"data/crops/{w.dataset}-{w.size}px/crops.h5"),
    output:
        "data/cards/{dataset}-{size}px/card.html",
        "data/cards/{dataset}-{size}px/card.json",
        "data/cards/{dataset}-{size}px/contact_sheet.jpg",
        "data/cards/{dataset}-{size}px/recipe.json",
    log:
        "logs/describe_dataset/{dataset}-{size}px.log",
    priority: 1
    shell:
        "python -m pipeline_steps.describe_dataset --recipe {input.recipe}"
        " --crops data/crops/{wildcards.dataset}-{wildcards.size}px"
        " --output data/cards/{wildcards.dataset}-{wildcards.size}px 2>&1 | tee {log}"


rule split_dataset:
    input:
        recipe=lambda w: plan.recipe_file(f"data/splits/{w.dataset}-{w.size}px"),
        crops=lambda w: result(f"data/crops/{w.dataset}-{w.size}px/crops.h5"),
    output:
        "data/splits/{dataset}-{size}px/split.json",
        "data/splits/{dataset}-{size}px/recipe.json",
    log:
        "logs/split_dataset/{dataset}-{size}px.log",
    priority: 1
    params:
        protocol=lambda w: (
            f"--protocol {shlex.quote(os.path.join(workflow.basedir, p))}"
            if (p := params.datasets[w.dataset].split.protocol)
            else ""
        ),
    shell:
        "python -m pipeline_steps.split_dataset --recipe {input.recipe} --crops {input.crops} {params.protocol}"
        " --output data/splits/{wildcards.dataset}-{wildcards.size}px 2>&1 | tee {log}"
