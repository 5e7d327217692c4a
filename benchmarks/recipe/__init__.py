"""Which training recipe suits a few minutes of two CPU cores: many short trainings on an accelerator, by Keras on JAX.

    export KERAS_BACKEND=jax                                                       # pip install jax
    python -m benchmarks.recipe pack FOLDER --data DATA/camvid                     # pictures and ImageNet weights, 46 MB
    python -m benchmarks.recipe arms > QUEUE                                       # all, or those named
    python -m benchmarks.recipe run FOLDER --queue QUEUE --results docs/accuracy_recipe.jsonl
    python -m benchmarks.recipe table docs/accuracy_recipe.jsonl                   # the table of docs/accuracy.md

Each training takes as many steps as the stated minutes of two CPU cores would allow, at `settings.step_seconds` a step. A run
appends one line to the file of results, so a command that was stopped goes on where it ended.
"""
