"""What the exporter adds to the SavedModel: warm-up requests, images for other runtimes and their scores."""
