"""What `--model` may name: one file each, with `build(config, num_classes, input_shape=...)` -> Keras model."""
