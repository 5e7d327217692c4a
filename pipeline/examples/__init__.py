"""From a source to the prepared data set: sources of pairs, Beam transforms, TFDS directories, quarantine."""
