"""Data sets, batches and the shipped images."""

from tinygrad_course.data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from tinygrad_course.data.digits import DIGIT_CLASSES, DIGIT_WHITE, load_digits
from tinygrad_course.data.fashion import FASHION_CLASSES, load_fashion
from tinygrad_course.data.idx import ImageSet, find_idx_files, load_images, read_idx
from tinygrad_course.data.image import load_image_file, mean_and_std, normalise, resize
from tinygrad_course.data.loader import DataLoader, default_collate
from tinygrad_course.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = ["DIGIT_CLASSES", "DIGIT_WHITE", "FASHION_CLASSES", "BatchSampler", "ConcatDataset", "DataLoader", "Dataset",
           "ImageSet", "IterableDataset", "RandomSampler", "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler",
           "TensorDataset", "WeightedRandomSampler", "default_collate", "find_idx_files", "load_digits", "load_fashion",
           "load_image_file", "load_images", "mean_and_std", "normalise", "random_split", "read_idx", "resize"]
