"""Files of tensors: safetensors for weights, .npz for arrays.  Writes are atomic, nothing is ever unpickled."""

from tinygrad_course.io.npz import load_npz, save_npz
from tinygrad_course.io.safetensors import load_file, load_metadata, save_file

__all__ = ["load_file", "load_metadata", "load_npz", "save_file", "save_npz"]
