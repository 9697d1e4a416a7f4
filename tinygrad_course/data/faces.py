"""100 faces and 100 other patches of photographs, 25 x 25 grey pixels: is it a face?

Source: a part of "Labeled Faces in the Wild", G. B. Huang, M. Ramesh, T. Berg, E. Learned-Miller, University of
Massachusetts, technical report 07-49 (2007), cut out for scikit-image (`skimage.data.lfw_subset`).  The photographs were
collected from news sites; scikit-image ships the cut-outs without naming a licence.  The file says nothing about who is
on the photographs: it is of no use for telling people apart.
"""

import numpy as np

from tinygrad_course.data.fixed_split import check_split, fixed_order, fixed_test_part
from tinygrad_course.errors import DataError, DependencyError

FACE_CLASSES = ("no face", "face")


def load_faces(split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 25, 25) with values 0 to 255, and labels int64 (N,): 1 face, 0 none.

    The split is fixed: of each class 80 % ("train", 160 images) and 20 % ("test", 40), in a fixed mixed order.
    Needs the package scikit-image (extra "data").  Raises DataError for another split.
    """
    check_split(split, "load_faces")
    try:
        from skimage.data import lfw_subset
    except ImportError as error:
        raise DependencyError("the faces come with the package scikit-image: pip install scikit-image") from error
    values = lfw_subset()  # float64 in [0, 1], the first half faces
    if values.shape != (200, 25, 25):
        raise DataError(f"load_faces: skimage.data.lfw_subset() has the shape {values.shape}, not (200, 25, 25). Install a "
                        "version that has it: pip install scikit-image==0.26.0")
    images, labels = np.rint(values * 255).astype(np.uint8), np.repeat(np.array([1, 0], np.int64), 100)
    order = fixed_order(len(labels))
    chosen = order[fixed_test_part(labels)[order] == (split == "test")]
    return images[chosen], labels[chosen]
