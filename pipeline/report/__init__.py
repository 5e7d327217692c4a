"""The report page and its templates, and the model card."""
