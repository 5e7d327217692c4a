"""The line of components from a folder of pairs to a served model. Importing it imports no framework."""
