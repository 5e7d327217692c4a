"""What makes the networks on a VGG trunk narrow. Standard library only."""

NARROW = {"width": 0.25, "batch_normalization": True}
