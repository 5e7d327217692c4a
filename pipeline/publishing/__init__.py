"""Pushed versions, the data of earlier ones, the process that checks an export, and what TensorFlow Serving reads beside them."""
