"""The sections of the page, a module and a template each.

`contents(run)` returns the template's variables, or None if the run has nothing to show there.
"""
