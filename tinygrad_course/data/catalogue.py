"""The data sets of the package: what each is, how big, under which licence, and whether it is on this machine."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinygrad_course.data.bible import ENGLISH_PACKAGE, SPANISH_PACKAGE
from tinygrad_course.data.chorales import CHORALES
from tinygrad_course.data.emoji import EMOJI
from tinygrad_course.data.fashion import FASHION_PACKAGE
from tinygrad_course.data.fetch import Package, cached_file, fetch, installed_folder
from tinygrad_course.data.mnist import MNIST
from tinygrad_course.data.nuclei import NUCLEI_PACKAGE
from tinygrad_course.data.prepared import PackagedArrays
from tinygrad_course.data.reviews import REVIEWS_PACKAGE
from tinygrad_course.errors import DataError, DependencyError

# Python packages that bring data with them, by the name of their module.
_PROJECTS = {"skimage": "scikit-image", "sklearn": "scikit-learn", "statsmodels": "statsmodels"}


@dataclass(frozen=True)
class DataSet:
    """One entry.

    loader    the function in tinygrad_course.data
    what      one line
    size      of what is shipped, fetched or installed
    licence   of the data
    shipped   part of the installation: all of it, or a part while `packages` hold the whole
    packages  fetched by `get`
    arrays    made of the packages by `get`
    modules   Python packages that must be installed, which `get` does not do
    parts     other sets that this one is generated from
    by_user   read only from files that the user has
    """

    name: str
    loader: str
    what: str
    size: str
    licence: str
    shipped: bool = False
    packages: tuple[Package, ...] = ()
    arrays: PackagedArrays | None = None
    modules: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    by_user: bool = False

    @property
    def state(self) -> str:
        """ "shipped", "here", "missing", "in part" (the shipped part, and the whole is not here), or "yours"."""
        if self.by_user:
            return "yours"
        there = self._modules_are_there() and all(SETS[part].state in ("shipped", "here") for part in self.parts) and (
            all(cached_file(package) or installed_folder(package) for package in self.packages)
            or (self.arrays is not None and self.arrays.file.is_file()))
        if self.shipped:
            return "shipped" if not self.packages else "here" if there else "in part"
        return "here" if there else "missing"

    def get(self, say: Callable[[str], None]) -> list[Path]:
        """Fetch what is missing and return the files; `say` is told each command before it runs.

        Raises DataError or DependencyError if it cannot be had that way, with what to do.
        """
        if self.by_user:
            raise DataError(f"{self.name}: no package has it. Get the files from its authors, and give their path to "
                            f"{self.loader}")
        files = [file for part in self.parts for file in SETS[part].get(say)]
        if not self._modules_are_there():
            projects = " ".join(_PROJECTS[module] for module in self.modules)
            raise DependencyError(f"{self.name} comes with {projects.replace(' ', ' and ')}: pip install {projects}")
        for package in self.packages:
            if cached_file(package) is None:
                say(f"{package.command}   {package.size / 1e6:.1f} MB")
            files.append(fetch(package))
        return files if self.arrays is None else [*files, self.arrays.prepare()]

    def _modules_are_there(self) -> bool:
        return all(importlib.util.find_spec(module) is not None for module in self.modules)


_ENTRIES = (
    DataSet("digits", "load_digits", "1,797 handwritten digits, 8 x 8", "47 KB", "CC BY 4.0", shipped=True),
    DataSet("fashion", "load_fashion", "Fashion-MNIST, 28 x 28: 2,000 shipped, 70,000 on demand", "0.9 MB; 30.9 MB",
            "MIT", shipped=True, packages=(FASHION_PACKAGE,)),
    DataSet("mnist", "load_mnist", "10,000 of the digits of MNIST, 28 x 28", "4.9 MB", "CC BY-SA 3.0",
            packages=MNIST.packages, arrays=MNIST),
    DataSet("photos", "load_photos", "7 colour photographs, 300 to 741 pixels", "in packages",
            "public domain, CC0, CC BY, Middlebury", modules=("skimage", "sklearn")),
    DataSet("mnist-m", "make_mnist_m", "digits blended with photographs, 28 x 28 x 3", "generated", "of mnist and photos",
            parts=("mnist", "photos")),
    DataSet("scenes", "make_scenes", "coloured digits on photographs: boxes, masks, captions", "generated",
            "of mnist and photos", parts=("mnist", "photos")),
    DataSet("emoji", "load_emoji", "1,377 emoji with names and groups, 32 x 32 x 3", "17.9 MB",
            "font OFL 1.1, names Unicode License", packages=EMOJI.packages, arrays=EMOJI),
    DataSet("faces", "load_faces", "100 faces and 100 other patches, 25 x 25", "in a package", "not named (LFW)",
            modules=("skimage",)),
    DataSet("nuclei", "load_nuclei", "125 labelled cell nuclei, 64 tiles of 64 x 64", "3.1 MB",
            "package BSD 3-Clause; images said to be CC0", packages=(NUCLEI_PACKAGE,)),
    DataSet("cifar10", "load_cifar10", "60,000 photographs of things, 32 x 32 x 3, 10 classes", "170 MB", "not named",
            by_user=True),
    DataSet("cifar100", "load_cifar100", "the same, 100 classes", "170 MB", "not named", by_user=True),
    DataSet("bible", "load_bible", "World English Bible: Genesis shipped, 66 books on demand", "50 KB; 4.0 MB",
            "public domain", shipped=True, packages=(ENGLISH_PACKAGE,)),
    DataSet("verse-pairs", "load_verse_pairs", "English and Spanish: 1,511 shipped, 30,722 on demand", "51 KB; 6.7 MB",
            "public domain", shipped=True, packages=(ENGLISH_PACKAGE, SPANISH_PACKAGE)),
    DataSet("reviews", "load_reviews", "10,603 sentences of film reviews with ratings", "2.4 MB",
            "package MIT; the sentences are quotations", packages=(REVIEWS_PACKAGE,)),
    DataSet("chorales", "load_chorales", "364 four-part chorales by J. S. Bach, in sixteenths", "20.1 MB",
            "music public domain; encodings: music21", packages=CHORALES.packages, arrays=CHORALES),
    DataSet("cmudict", "load_pronunciations", "126,052 English words and their phones (CMUdict)", "0.7 MB",
            "BSD 2-Clause", shipped=True),
    DataSet("iris", "load_iris", "150 flowers of 3 species, 4 measures", "1 KB", "CC BY 4.0", shipped=True),
    DataSet("wine", "load_wine", "178 wines of 3 cultivars, 13 measures", "6 KB", "CC BY 4.0", shipped=True),
    DataSet("breast-cancer", "load_breast_cancer", "569 tumours, malignant or benign, 30 measures", "in a package",
            "CC BY 4.0", modules=("sklearn",)),
    DataSet("diabetes", "load_diabetes", "442 patients, 10 measures, progress of the disease", "in a package",
            "not named", modules=("sklearn",)),
    DataSet("sunspots", "load_sunspots", "mean sunspot number of each year, 1700 to 2008", "1 KB", "public domain",
            shipped=True),
    DataSet("co2", "load_co2", "weekly carbon dioxide at Mauna Loa, 1958 to 2001", "in a package", "public domain",
            modules=("statsmodels",)),
)
SETS = {entry.name: entry for entry in _ENTRIES}
