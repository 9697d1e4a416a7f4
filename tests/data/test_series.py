"""Series, and windows against loops."""

import sys

import numpy as np
import pytest

from tinygrad_course.data import load_co2, load_sunspots, sliding_windows
from tinygrad_course.errors import DataError, DependencyError, ShapeError


def test_sunspots():
    years, sunspots = load_sunspots()
    assert (years.dtype, sunspots.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(years, np.arange(1700, 2009))
    # The Maunder minimum has just ended in 1700; 1957 has the highest number of all, 190.2.
    assert (sunspots[0], sunspots[years == 1957], years[sunspots.argmax()]) == (5, np.float32(190.2), 1957)
    power = np.abs(np.fft.rfft(sunspots - sunspots.mean())) ** 2
    assert 10.5 < len(sunspots) / power.argmax() < 11.5, "the cycle has some 11 years"


def test_missing_weeks_are_nan(tmp_path, monkeypatch):
    """An installed package with a file of the format of the real one, but of four weeks."""
    described, folder = tmp_path / "statsmodels-0.15.0.dist-info", tmp_path / "statsmodels/datasets/co2"
    described.mkdir()
    folder.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: statsmodels\nVersion: 0.15.0\n")
    (folder / "co2.csv").write_text("date,co2\n19580503,316.9\n19580510,\n19580517,317.5\n19580524,\n")
    monkeypatch.syspath_prepend(tmp_path)
    days, co2 = load_co2()
    assert days.dtype == "datetime64[D]"
    assert days.astype(str).tolist() == ["1958-05-03", "1958-05-10", "1958-05-17", "1958-05-24"]
    np.testing.assert_array_equal(co2, np.array([316.9, np.nan, 317.5, np.nan], dtype=np.float32))


def test_co2_of_the_real_package():
    pytest.importorskip("statsmodels")
    days, co2 = load_co2()
    np.testing.assert_array_equal(days, np.arange("1958-03-29", "2002-01-01", 7, dtype="datetime64[D]"))
    assert (co2.shape, int(np.isnan(co2).sum())) == ((2284,), 59)
    assert np.nanmean(co2[:52]) < 317 < 370 < np.nanmean(co2[-52:])


def test_without_statsmodels(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(DependencyError, match="load_co2: the data comes with statsmodels: pip install statsmodels"):
        load_co2()


@pytest.mark.parametrize("shape", [(30,), (30, 3)])
@pytest.mark.parametrize(("width", "horizon"), [(1, 1), (4, 1), (4, 3), (29, 1), (1, 29)])
def test_windows_by_loops(shape, width, horizon):
    values = np.random.default_rng(0).standard_normal(shape)
    x, y = sliding_windows(values, width, horizon)
    places = range(30 - width - horizon + 1)
    np.testing.assert_array_equal(x, [[values[i + k] for k in range(width)] for i in places])
    np.testing.assert_array_equal(y, [values[i + width - 1 + horizon] for i in places])
    before = values.copy()
    x[:], y[:] = 0, 0  # both are copies
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(("shape", "width", "horizon", "error", "message"), [
    ((10,), 8, 3, ShapeError, "a series of 10 has no window of 8 with a target 3 later: that takes 11"),
    ((10, 2, 2), 2, 1, ShapeError, r"the shape \(10, 2, 2\), needed is \(T,\) or \(T, D\)"),
    ((10,), 0, 1, DataError, "width=0 and horizon=1; both must be at least 1"),
    ((10,), 2, 0, DataError, "width=2 and horizon=0; both must be at least 1"),
])
def test_wrong_windows(shape, width, horizon, error, message):
    with pytest.raises(error, match=message):
        sliding_windows(np.zeros(shape), width, horizon)
