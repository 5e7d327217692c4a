"""The components: one module and one function each, by the same name, none of which imports another."""
