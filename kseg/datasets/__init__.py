"""Data sets as TFDS builders: `image_folder` reads folders of pairs, `streets` is generated and needs no download."""
