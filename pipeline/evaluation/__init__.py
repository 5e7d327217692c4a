"""Counts of each pair, scores of each image, and the gate that a model has to pass."""
