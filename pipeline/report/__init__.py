"""The report page and its template."""
