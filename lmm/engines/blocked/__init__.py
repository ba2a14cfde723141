"""The engine for many levels."""

from .engine import Blocked, eliminate

__all__ = [
    "Blocked",
    "eliminate",
]
