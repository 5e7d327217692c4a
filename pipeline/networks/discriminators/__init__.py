"""What `trainer.discriminator` may name: one file each, with `build(config, label_channels, **options)` -> Keras model."""
