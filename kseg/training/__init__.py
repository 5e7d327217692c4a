"""Training: callbacks, distribution over devices and machines, optimizers."""
