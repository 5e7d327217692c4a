"""What runs components: the store of results and its fingerprints, progress, errors and files. Standard library and rich."""
