"""One module per layout of image and mask files; `kseg.pairs.image_folder.list_pairs` picks one. Standard library only."""
