"""What runs in the process of its own that a submission gets: load it, call it, describe what it returned as plain numbers.

This folder is imported there by itself, without the package around it: nothing here knows an answer, or can import one.
"""
