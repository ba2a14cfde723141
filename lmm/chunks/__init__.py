"""Data in chunks, beyond memory: from a source of frames to a `Setup`, in three passes."""

from .passes import set_up_chunks
from .smaller import smaller_setup
from .sources import is_chunks, source_of_chunks

__all__ = ["is_chunks", "set_up_chunks", "smaller_setup", "source_of_chunks"]
