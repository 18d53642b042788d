# REQUIRED INPUTS  a fine-tuned model; crops and split of a test data set
# OUTPUTS          results/{study}/evaluate/{dataset}/{arm}/seed{seed}, results/{study}/compare


rule evaluate:
    input:
        recipe=lambda w: plan.recipe_file(
            f"{plan.results}/evaluate/{w.dataset}/{w.arm}/seed{w.seed}"
        ),
        model=lambda w: result(
            f"{plan.results}/finetune/{w.arm}/seed{w.seed}/model.safetensors"
        ),
        crops=lambda w: result(f"{plan.crops(w.dataset)}/crops.h5"),
        split=lambda w: result(f"{plan.split(w.dataset)}/split.json"),
    output:
        f"{plan.results}/evaluate/{{dataset}}/{{arm}}/seed{{seed}}/metrics.json",
        f"{plan.results}/evaluate/{{dataset}}/{{arm}}/seed{{seed}}/predictions.parquet",
        f"{plan.results}/evaluate/{{dataset}}/{{arm}}/seed{{seed}}/recipe.json",
    log:
        f"logs/evaluate/{params.study}-{{dataset}}-{{arm}}-seed{{seed}}.log",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        "python -m pipeline_steps.evaluate --recipe {input.recipe} --model {input.model} --crops {input.crops}"
        " --split {input.split} --output {params.folder} --threads {threads} 2>&1 | tee {log}"


rule compare:
    input:
        recipe=plan.recipe_file(f"{plan.results}/compare"),
        evaluations=[result(f"{folder}/recipe.json") for folder in plan.evaluations()],
    output:
        f"{plan.results}/compare/table.md",
        f"{plan.results}/compare/table.csv",
        f"{plan.results}/compare/metrics.json",
        f"{plan.results}/compare/recipe.json",
    log:
        f"logs/compare/{params.study}.log",
    params:
        folders=lambda w, input: " ".join(
            f"--evaluation {os.path.dirname(e)}" for e in input.evaluations
        ),
    shell:
        f"python -m pipeline_steps.compare --recipe {{input.recipe}} --output {plan.results}/compare {{params.folders}}"
        " 2>&1 | tee {log}"
