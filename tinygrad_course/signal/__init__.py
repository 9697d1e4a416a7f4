"""Signal processing: `signal.windows`."""

from tinygrad_course.signal import windows

__all__ = ["windows"]
