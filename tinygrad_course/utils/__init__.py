"""PyTorch's places for things: `utils.checkpoint`, and `utils.data`, which is `tinygrad_course.data`."""
