"""Sentences of film reviews with the ratings of people, for sentiment analysis.

Source: C. J. Hutto, E. E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM (2014): 10,605 sentences after B. Pang, L. Lee, "A Sentimental Education", ACL (2004), from reviews on
rottentomatoes.com, each rated by twenty people from -4, extremely negative, to 4, extremely positive.  The package
(PyPI vaderSentiment 0.5) is under the MIT licence; the sentences are quotations.
"""

import io
import os
import tarfile
from typing import NamedTuple

import numpy as np

from tinygrad_course.data.archive import DAMAGED, read_members
from tinygrad_course.data.fetch import Package, find_package
from tinygrad_course.data.fixed_split import check_split, fixed_order, fixed_test_part
from tinygrad_course.errors import DataError

REVIEWS_PACKAGE = Package("pip", "vaderSentiment", "0.5", "vaderSentiment-0.5.zip", 2_448_964,
                          "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
                          options=("--no-binary=:all:",))
_ARCHIVE = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
_SENTENCES = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


class Reviews(NamedTuple):
    """sentences, a list of N texts; ratings float64 (N,), -4 to 4, the mean of about twenty people's."""

    sentences: list[str]
    ratings: np.ndarray


def load_reviews(split: str = "train", path: str | os.PathLike[str] | None = None) -> Reviews:
    """Sentences with ratings; `ratings > 0` is the usual label.

    path  of vaderSentiment-0.5.zip, or the folder that it was unpacked in; without it, the file in the cache folder
    The file has no split.  Ours is fixed: 80 % ("train") and 20 % ("test") of the positive and of the other sentences, in a
    fixed mixed order; of equal sentences only the first is kept.  It is not said which sentences are of one review, so
    the same film can be in both parts.
    Raises DataError for another split, or if the package is missing or broken.
    """
    check_split(split, "load_reviews")
    sentences, ratings = read_reviews(find_package(REVIEWS_PACKAGE, "reviews", path))
    order = fixed_order(len(sentences))
    chosen = order[fixed_test_part(ratings > 0)[order] == (split == "test")]
    return Reviews([sentences[number] for number in chosen], ratings[chosen])


def read_reviews(path: str | os.PathLike[str]) -> Reviews:
    """All sentences, in the order of the file, each once."""
    content = read_members(path, f"*{_ARCHIVE.partition('/')[2]}")
    packed = next(iter(content.values()))
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            text = archive.extractfile(_SENTENCES).read().decode("utf-8")  # type: ignore[union-attr]
        rows = [line.split("\t", 2) for line in text.splitlines() if line.strip()]
        found: dict[str, float] = {}
        for _, rating, sentence in rows:
            found.setdefault(sentence.strip(), float(rating))
    except (OSError, KeyError, AttributeError, *DAMAGED) as error:
        raise DataError(f"{path}: {_SENTENCES} is not what it is in vaderSentiment {REVIEWS_PACKAGE.version} ({error}). "
                        "Fetch it again, or give another path.") from error
    return Reviews(list(found), np.array(list(found.values())))
