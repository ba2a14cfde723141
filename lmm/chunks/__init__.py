"""Data in chunks, beyond memory: from a source of frames to a `Setup`, in three passes."""

from .passes import set_up_chunks
from .saved import combined_setup, load_setup, save, save_setup
from .smaller import smaller_setup
from .sources import is_chunks, source_of_chunks

__all__ = [
    "combined_setup",
    "is_chunks",
    "load_setup",
    "save",
    "save_setup",
    "set_up_chunks",
    "smaller_setup",
    "source_of_chunks",
]
