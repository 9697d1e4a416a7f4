"""Networks from papers, one file per paper."""

from tinygrad_course.models.lenet import LeNet5

__all__ = ["LeNet5"]
