"""Settings: one file per component, the whole run, presets, and rules of values. Standard library only."""
