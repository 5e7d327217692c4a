"""The nine components, each one function `(out, config, **paths)` in the module of its name."""
