"""Pushed versions, the data of earlier ones, and the fresh process that checks an export."""
