"""Time series, and the windows through which a feed-forward network sees one."""

import io
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from tinygrad_course.data.shipped import shipped_bytes
from tinygrad_course.errors import DataError, DependencyError, ShapeError

_CO2_FILE = "statsmodels/datasets/co2/co2.csv"


def load_sunspots() -> tuple[np.ndarray, np.ndarray]:
    """Years int64 (309,), 1700 to 2008, and the mean sunspot number of each, float32 (309,), 0 to 190.2.

    The number rises and falls in cycles of 9 to 14 years, of different height.
    National Geophysical Data Center (USA), International Sunspot Number, version 1.  Raises DataError for a damaged file.
    """
    with np.load(io.BytesIO(shipped_bytes("sunspots.npz")), allow_pickle=False) as arrays:
        return arrays["years"].astype(np.int64), arrays["sunspots"]


def load_co2() -> tuple[np.ndarray, np.ndarray]:
    """Days datetime64[D] (2284,), every Saturday from 1958-03-29 to 2001-12-29, and carbon dioxide in ppm, float32 (2284,).

    Weekly means at Mauna Loa, Hawaii.  59 weeks are missing: they are there, as NaN.
    C. Keeling, T. Whorf, "Atmospheric CO2 concentrations derived from flask air samples", CDIAC (2004).
    Raises DependencyError if statsmodels, which brings the data, is not installed.
    """
    try:
        file = distribution("statsmodels").locate_file(_CO2_FILE)  # found without its import, which takes seconds
        text = Path(str(file)).read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError) as error:
        raise DependencyError("load_co2: the data comes with statsmodels: pip install statsmodels") from error
    lines = [line.split(",") for line in text.splitlines()[1:]]
    days = np.array([f"{day[:4]}-{day[4:6]}-{day[6:]}" for day, _ in lines], dtype="datetime64[D]")
    return days, np.array([value or "nan" for _, value in lines], dtype=np.float32)


def sliding_windows(series: np.ndarray, width: int, horizon: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """What a network sees of a series, and what it should predict from it.

    series   (T,), or (T, D) with D numbers at each time
    x        (N, width) or (N, width, D): x[i] = series[i], ..., series[i + width - 1]
    y        (N,) or (N, D): y[i] = series[i + width - 1 + horizon], the value `horizon` steps after the last that is seen

    N = T - width - horizon + 1.  Both are new arrays.  A window that is seen, or its target, may hold NaN if the series does.
    Raises ShapeError if not even one window fits, or the series has other than 1 or 2 axes; DataError if width or horizon is
    less than 1.
    """
    series = np.asarray(series)
    if width < 1 or horizon < 1:
        raise DataError(f"sliding_windows: width={width} and horizon={horizon}; both must be at least 1.")
    if series.ndim not in (1, 2):
        raise ShapeError(f"sliding_windows: the series has the shape {series.shape}, needed is (T,) or (T, D): time first.")
    if len(series) < width + horizon:
        raise ShapeError(f"sliding_windows: a series of {len(series)} has no window of {width} with a target {horizon} "
                         f"later: that takes {width + horizon}. Give a longer series or a smaller width.")
    windows = np.lib.stride_tricks.sliding_window_view(series, width, axis=0)[:len(series) - width - horizon + 1]
    x = windows if series.ndim == 1 else windows.swapaxes(1, 2)  # (N, D, width) -> (N, width, D)
    return x.copy(), series[width + horizon - 1:].copy()
