"""Tables: a few numbers per sample, and a class or a number to predict from them.

Iris and wine are shipped; breast cancer and diabetes come with scikit-learn.  The numbers are those that were measured:
columns differ in unit and size, so bring them to mean 0 and standard deviation 1 (of the training part) before a network or
a distance sees them.
"""

import io
from typing import Any

import numpy as np

from tinygrad_course.data.shipped import shipped_bytes
from tinygrad_course.errors import DependencyError

IRIS_CLASSES = ("setosa", "versicolor", "virginica")
IRIS_FEATURES = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
WINE_CLASSES = ("cultivar 1", "cultivar 2", "cultivar 3")
WINE_FEATURES = ("alcohol", "malic acid", "ash", "alcalinity of ash", "magnesium", "total phenols", "flavanoids",
                 "nonflavanoid phenols", "proanthocyanins", "colour intensity", "hue", "OD280/OD315 of diluted wines",
                 "proline")
BREAST_CANCER_CLASSES = ("malignant", "benign")
DIABETES_FEATURES = ("age", "sex", "body mass index", "mean blood pressure", "total serum cholesterol",
                     "low-density lipoproteins", "high-density lipoproteins", "total cholesterol / HDL",
                     "logarithm of serum triglycerides", "blood sugar")


def load_iris() -> tuple[np.ndarray, np.ndarray]:
    """Features float32 (150, 4) in cm, named in IRIS_FEATURES, and classes int64 (150,): 50 flowers of each of 3 species.

    Setosa is linearly separable from the other two; these overlap.  The samples are sorted by class.
    R. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7(2), 179-188 (1936).
    Raises DataError for a damaged file.
    """
    return _shipped("iris.npz")


def load_wine() -> tuple[np.ndarray, np.ndarray]:
    """Features float32 (178, 13), named in WINE_FEATURES, and classes int64 (178,): 59, 71 and 48 wines of 3 cultivars.

    Chemical analyses of wines of one region in Italy; the samples are sorted by class.
    M. Forina et al., "PARVUS: an extendible package for data exploration, classification and correlation" (1988).
    Raises DataError for a damaged file.
    """
    return _shipped("wine.npz")


def load_breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """Features float32 (569, 30) and classes int64 (569,): 212 malignant tumours (0) and 357 benign ones (1).

    Mean, standard error and largest value of ten properties of the cell nuclei in an image of each tumour.
    W. Street, W. Wolberg, O. Mangasarian, "Nuclear feature extraction for breast tumor diagnosis", SPIE 1905 (1993).
    Raises DependencyError if scikit-learn, which brings the data, is not installed.
    """
    table = _sklearn("load_breast_cancer").load_breast_cancer()
    return table.data.astype(np.float32), table.target.astype(np.int64)


def load_diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Features float32 (442, 10), named in DIABETES_FEATURES, and targets float32 (442,): how far the disease had
    progressed a year later, 25 to 346.

    The features are in their own units, not scaled as scikit-learn's default has them; sex is 1 or 2.
    B. Efron et al., "Least angle regression", Annals of Statistics 32(2), 407-499 (2004).
    Raises DependencyError if scikit-learn, which brings the data, is not installed.
    """
    table = _sklearn("load_diabetes").load_diabetes(scaled=False)
    return table.data.astype(np.float32), table.target.astype(np.float32)


def _shipped(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(io.BytesIO(shipped_bytes(name)), allow_pickle=False) as arrays:
        return arrays["features"], arrays["classes"].astype(np.int64)


def _sklearn(caller: str) -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DependencyError(f"{caller}: the data comes with scikit-learn: pip install scikit-learn") from error
    return datasets
