"""Data and pushed models in object stores: a local copy that equals what lies below a URL, and what goes back to it."""
