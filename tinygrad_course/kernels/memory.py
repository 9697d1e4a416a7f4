"""What the engine needs of the memory pool, in plain Python: there is no pool.

The compiled module of the same name, from kernels/memory.pyx, comes before this file where it was built.
"""

from typing import Any


def recycle(array: Any) -> None:
    """Keep the array of a dead tensor for a later result: without a pool it dies."""
