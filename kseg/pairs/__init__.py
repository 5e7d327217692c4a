"""Folders of image and mask pairs: which files belong together, reading them, resizing, class weights. numpy and Pillow."""
