"""Does the adversary help? See `__main__`."""
