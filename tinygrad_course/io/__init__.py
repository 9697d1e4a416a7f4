"""Files: safetensors, .npz and PyTorch's .pt for tensors, ONNX for models.

Writes are atomic, nothing is ever unpickled or executed.

    weights = tgc.io.load("resnet18.pth")       # any format, by content
    model.load_state_dict(weights)
    tgc.io.save(model.state_dict(), "model.safetensors")
    tgc.io.export_onnx(model, tgc.zeros(1, 3, 224, 224), "model.onnx")
"""

from tinygrad_course.io.compare import compare
from tinygrad_course.io.files import load, save
from tinygrad_course.io.npz import load_npz, save_npz
from tinygrad_course.io.onnx import ONNXModule, export_onnx, import_onnx
from tinygrad_course.io.remap import propose_mapping, remap
from tinygrad_course.io.safetensors import load_file, load_metadata, safe_open, save_file
from tinygrad_course.io.torch_read import load_torch
from tinygrad_course.io.torch_write import save_torch

__all__ = ["ONNXModule", "compare", "export_onnx", "import_onnx", "load", "load_file", "load_metadata", "load_npz",
           "load_torch", "propose_mapping", "remap", "safe_open", "save", "save_file", "save_npz", "save_torch"]
