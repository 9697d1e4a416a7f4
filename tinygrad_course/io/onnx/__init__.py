"""ONNX: models as files that other programs run, and files of other programs as trainable modules.

    export.py      the forward pass is traced twice, the ops become nodes
    trace, join    what ran; what of it is fixed and what follows the inputs
    builder        the graph while it is made
    write_*.py     op -> nodes, by family
    load.py        file -> ONNXModule
    read_*.py      node -> ops, by family

The names of `torch.onnx` are in `tinygrad_course.onnx`.
"""

from tinygrad_course.io.onnx.export import export_onnx
from tinygrad_course.io.onnx.load import ONNXModule, import_onnx

__all__ = ["ONNXModule", "export_onnx", "import_onnx"]
