"""Around `fit`: callbacks, distribution over devices and machines, optimizers."""
