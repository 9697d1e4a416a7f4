"""Transforms of images that treat image, mask and boxes alike.

Names, arguments and defaults are those of torchvision.transforms.v2; differences are listed in docs/transforms.md.

A sample is one of
* an image alone:    an array (H, W) or (H, W, C), or a Tensor (C, H, W); uint8 or floating point
* a tuple or list that begins with an image, for example (image, label); dicts in it are looked into, other entries stay
* a dict or a named tuple; the parts are told apart by their names, entries with other names stay:
      image    as above
      mask     (H, W) or (K, H, W), whole numbers, bool or floats
      masks    (K, H, W), one mask for each box
      boxes    (K, 4): x1, y1, x2, y2 in pixels from the upper left corner, so (0, 0, W, H) is the whole image
      labels   one for each box, or anything if there are no boxes
The result has the same form, and arrays and tensors stay what they are.

One draw of random numbers serves all parts.  Images are bilinear between pixels, masks take the nearest pixel, and what was
outside the image is `fill` in images and `mask_fill` in masks.  A box becomes the box around what it was turned into, clipped
to the image (whole-numbered ones are rounded outwards); one without area is dropped with its label and its mask.

Random numbers come from `generator`, the default generator without it.  Inside a DataLoader take the default one: it is
seeded there for every batch, so results do not depend on the number of workers.  Nothing is written into the input.
"""

from tinygrad_course.data.transforms.base import OnValues, Operation, Transform
from tinygrad_course.data.transforms.colour import ColorJitter, Grayscale, RandomGrayscale
from tinygrad_course.data.transforms.containers import Compose, RandomApply, RandomChoice, RandomOrder
from tinygrad_course.data.transforms.convert import Lambda, Normalize, ToDtype, ToImage, ToTensor
from tinygrad_course.data.transforms.geometry import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    ScaleJitter,
)
from tinygrad_course.data.transforms.noise import GaussianBlur, GaussianNoise, RandomErasing
from tinygrad_course.data.transforms.sampling import InterpolationMode
from tinygrad_course.data.transforms.warps import ElasticTransform, RandomAffine, RandomPerspective, RandomRotation

__all__ = ["CenterCrop", "ColorJitter", "Compose", "ElasticTransform", "GaussianBlur", "GaussianNoise", "Grayscale",
           "InterpolationMode", "Lambda", "Normalize", "OnValues", "Operation", "Pad", "RandomAffine", "RandomApply",
           "RandomChoice", "RandomCrop", "RandomErasing", "RandomGrayscale", "RandomHorizontalFlip", "RandomOrder",
           "RandomPerspective", "RandomResizedCrop", "RandomRotation", "RandomVerticalFlip", "Resize", "ScaleJitter",
           "ToDtype", "ToImage", "ToTensor", "Transform"]
