"""What the trainer adds to `fit`: callbacks, TensorBoard's runs, and the record of where and how long it trained."""
