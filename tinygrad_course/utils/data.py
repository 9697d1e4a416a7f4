"""`torch.utils.data`'s names: what is in `tinygrad_course.data`."""

from tinygrad_course.data import DataLoader, Dataset, Subset, TensorDataset, random_split

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "random_split"]
