"""What refines or describes a finished prediction: DenseCRF, superpixels, regions and their outlines."""
