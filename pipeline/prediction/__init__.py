"""Labelling pictures in bulk: which files, refinements, regions and the files that are written."""
