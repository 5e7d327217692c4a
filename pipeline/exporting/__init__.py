"""What the exporter adds to the SavedModel."""
