"""A trained network as a SavedModel: the export, the graph that is served, and the manifest beside it."""
