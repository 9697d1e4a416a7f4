"""What the engine needs of the memory pool, in plain Python: there is no pool.

The compiled module of the same name, from kernels/memory.pyx, comes before this file where it was built.
"""

from typing import Any

_ZERO = {bool: False, int: 0}


def blank(kind: Any) -> Any:
    """A new object, all of whose slots are None, 0 or False: what a compiled class begins with."""
    thing = kind.__new__(kind)
    for owner in kind.__mro__:
        for name in getattr(owner, "__slots__", ()):
            if name != "__weakref__":
                setattr(thing, name, _ZERO.get(owner.__annotations__.get(name)))
    return thing


def keep(kind: type) -> None:
    """Let the dead objects of `kind` wait for `blank`: nothing to do, Python frees them."""
