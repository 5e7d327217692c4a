"""From a source to the prepared data set: reading pairs, Beam transforms, TFDS directories, quarantine."""
