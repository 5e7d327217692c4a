"""Networks: one paper, one module; each constructor is a function that returns a functional `keras.Model`."""
