"""Compiled kernels.  Their sources are in the repository's `kernels/` folder; the compiled modules land here.

`AVAILABLE` says whether they were built.  They are all or nothing: a module that is missing while others are there is a
broken installation and raises.
"""

import os
from importlib.machinery import EXTENSION_SUFFIXES

_FOLDER = os.path.dirname(os.path.abspath(__file__))

# By full name: a module of another Python version also ends in ".so".
AVAILABLE: bool = not {f"threads{suffix}" for suffix in EXTENSION_SUFFIXES}.isdisjoint(os.listdir(_FOLDER))


def get_include() -> str:
    """Folder of the C headers and .pxd files, for extensions that call our kernels from C."""
    return _FOLDER
