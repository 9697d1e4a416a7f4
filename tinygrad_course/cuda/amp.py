"""`torch.cuda.amp`'s names; see `tinygrad_course.amp`."""

from tinygrad_course.amp import GradScaler, autocast

__all__ = ["GradScaler", "autocast"]
