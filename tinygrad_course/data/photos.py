"""A few real colour photographs, whole ones held out: backgrounds for MNIST-M and for scenes.

Training: astronaut (NASA, public domain), coffee (R. Michetti, CC0), motorcycle (D. Scharstein and others, Middlebury
2014, GCPR 2014), rocket (SpaceX, CC0), china (D. Büchele, CC BY 2.0).  Test: cat (S. van der Walt, CC0), flower
(vultilion, CC BY 2.0).  The first four and the cat come with scikit-image, china and flower with scikit-learn.
"""

import numpy as np

from tinygrad_course.data.fixed_split import check_split
from tinygrad_course.errors import DependencyError


def load_photos(split: str = "train") -> list[np.ndarray]:
    """Photographs uint8 (H, W, 3), red, green, blue, values 0 to 255: five ("train") or two others ("test").

    Their sides are 300 to 741 pixels.  Needs the packages scikit-image and scikit-learn (extra "data").
    Raises DataError for another split.
    """
    check_split(split, "load_photos")
    try:
        from skimage import data
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        raise DependencyError("the photographs come with scikit-image and scikit-learn: "
                              "pip install scikit-image scikit-learn") from error
    if split == "train":
        photos = [data.astronaut(), data.coffee(), data.stereo_motorcycle()[0], data.rocket(), load_sample_image("china.jpg")]
    else:
        photos = [data.cat(), load_sample_image("flower.jpg")]
    return [np.array(photo, dtype=np.uint8) for photo in photos]
