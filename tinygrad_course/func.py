"""`torch.func`'s place of `functional_call`; derivatives of functions are in `tinygrad_course.functional`."""

from tinygrad_course.nn.utils.stateless import functional_call

__all__ = ["functional_call"]
