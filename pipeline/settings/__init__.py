"""Settings: one file a component, the whole run, presets, and the rules of values. Standard library only."""
