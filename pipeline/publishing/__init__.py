"""Pushed versions, what was pushed before, and the fresh process that checks an export."""
