"""Folders of image and mask pairs: finding and reading them, resizing, class tables and weights. numpy and Pillow."""
