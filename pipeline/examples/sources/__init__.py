"""Where pairs come from: one module per kind of source, and `opening`, which picks one by the value of `--data`."""
