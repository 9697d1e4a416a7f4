"""Data sets, batches, and the loaders of real data (docs/datasets.md)."""

from tinygrad_course.data import transforms
from tinygrad_course.data.alignment import SILENT, LetterPhones, learn_alignment
from tinygrad_course.data.bible import load_bible, load_verse_pairs
from tinygrad_course.data.chorales import Chorale, load_chorales
from tinygrad_course.data.cifar import cifar_class_names, load_cifar10, load_cifar100
from tinygrad_course.data.collate import default_collate, default_convert
from tinygrad_course.data.corrupt import corrupt_labels
from tinygrad_course.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tinygrad_course.data.digits import DIGIT_CLASSES, DIGIT_WHITE, load_digits
from tinygrad_course.data.emoji import Emoji, load_emoji
from tinygrad_course.data.faces import FACE_CLASSES, load_faces
from tinygrad_course.data.fashion import FASHION_CLASSES, load_fashion
from tinygrad_course.data.idx import ImageSet, find_idx_files, load_images, read_idx
from tinygrad_course.data.image import load_image_file, mean_and_std, normalise, resize
from tinygrad_course.data.loader import DataLoader
from tinygrad_course.data.mnist import MNIST_CLASSES, load_mnist
from tinygrad_course.data.mnist_m import make_mnist_m
from tinygrad_course.data.musicxml import read_musicxml, to_grid
from tinygrad_course.data.nuclei import Nuclei, load_nuclei
from tinygrad_course.data.photos import load_photos
from tinygrad_course.data.pronunciation import CONSONANTS, VOWELS, load_pronunciations
from tinygrad_course.data.reviews import Reviews, load_reviews
from tinygrad_course.data.sampler import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SeededSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinygrad_course.data.scenes import SCENE_COLOURS, Scenes, caption_scenes, make_scenes
from tinygrad_course.data.series import load_co2, load_sunspots, sliding_windows
from tinygrad_course.data.splits import group_kfold, kfold, leave_one_out, stratified_kfold, stratified_split
from tinygrad_course.data.standardise import Standardiser
from tinygrad_course.data.tables import (
    BREAST_CANCER_CLASSES,
    DIABETES_FEATURES,
    IRIS_CLASSES,
    IRIS_FEATURES,
    WINE_CLASSES,
    WINE_FEATURES,
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_wine,
)
from tinygrad_course.data.workers import WorkerInfo, get_worker_info

__all__ = ["BREAST_CANCER_CLASSES", "CONSONANTS", "DIABETES_FEATURES", "DIGIT_CLASSES", "DIGIT_WHITE", "FACE_CLASSES",
           "FASHION_CLASSES", "IRIS_CLASSES", "IRIS_FEATURES", "MNIST_CLASSES", "SCENE_COLOURS", "SILENT", "VOWELS",
           "WINE_CLASSES", "WINE_FEATURES", "BatchSampler", "ChainDataset", "Chorale", "ConcatDataset", "DataLoader",
           "Dataset", "DistributedSampler", "Emoji", "ImageSet", "IterableDataset", "LetterPhones", "Nuclei", "RandomSampler",
           "Reviews", "Sampler", "Scenes", "SeededSampler", "SequentialSampler", "StackDataset", "Standardiser", "Subset",
           "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "WorkerInfo", "caption_scenes",
           "cifar_class_names", "corrupt_labels", "default_collate", "default_convert", "find_idx_files", "get_worker_info",
           "group_kfold", "kfold", "learn_alignment", "leave_one_out", "load_bible", "load_breast_cancer", "load_chorales",
           "load_cifar10", "load_cifar100", "load_co2", "load_diabetes", "load_digits", "load_emoji", "load_faces",
           "load_fashion", "load_image_file", "load_images", "load_iris", "load_mnist", "load_nuclei", "load_photos",
           "load_pronunciations", "load_reviews", "load_sunspots", "load_verse_pairs", "load_wine", "make_mnist_m",
           "make_scenes", "mean_and_std", "normalise", "random_split", "read_idx", "read_musicxml", "resize",
           "sliding_windows", "stratified_kfold", "stratified_split", "to_grid", "transforms"]
