"""What runs in the process of its own that a submission gets: load it, call it, describe results.

What a submission returned leaves the process as plain numbers and texts. This folder is imported
there by itself, without the package around it: nothing here knows an answer, or can import one.
"""
