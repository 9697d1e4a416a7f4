"""`tinygrad-course report RUN`: a training run as one HTML file."""

import argparse
import json
import webbrowser
from pathlib import Path
from typing import Any

from tinygrad_course.cli.usage import DONE, UsageError, output_file

HELP = "a training run as one HTML page"
DESCRIPTION = """\
Write a page about the run in the folder RUN: configuration, learning curves,
best epoch, test result, worst mistakes, samples with predictions, layers,
filters, weights, times.  It is one file that needs no network and nothing
beside it, to be opened by any browser, printed or sent.

RUN is a folder that `tinygrad-course train` wrote, or a Trainer with the
callbacks CsvHistory, Checkpoint and TimeLog (docs/training.md).  For what the
folder lacks, the page has a sentence.  Networks and data of your own are shown
by tinygrad_course.viz.write_report(RUN, model=..., inputs=..., labels=...).
"""
EXAMPLES = """\
examples:
  tinygrad-course report runs/lenet
  tinygrad-course report runs/lenet --open
  tinygrad-course report runs/fashion --out fashion.html

"""
REPORT = "report.html"


def add_options(parser: argparse.ArgumentParser) -> None:
    """RUN, --out, --open."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="the folder of a run")
    parser.add_argument("--out", metavar="FILE", type=output_file, help=f"the page (default: {REPORT} in RUN)")
    parser.add_argument("--open", choices=("yes", "no"), nargs="?", const="yes", default="no",
                        help="show it in the browser (default: no)")


def run(options: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    from tinygrad_course.viz.report import write_report

    out = options.out or options.folder / REPORT
    path = write_report(options.folder, out, **_model_and_data(options.folder))
    print(f"report    {path}", flush=True)
    if options.open == "yes" and not webbrowser.open(path.resolve().as_uri()):
        print("no browser was found; open the file by hand")
    return DONE


def _model_and_data(folder: Path) -> dict[str, Any]:
    """The network and the test images of a run of `tinygrad-course train`; for other runs a note that says why not."""
    from tinygrad_course.cli.images import load_image_data
    from tinygrad_course.cli.train import CONFIGURATION, WEIGHTS
    from tinygrad_course.cli.weights import load_weights
    from tinygrad_course.data import normalise
    from tinygrad_course.errors import DataError

    if not (folder / WEIGHTS).exists():
        return {"note": f"The folder has no {WEIGHTS}, so there are no predictions."}
    try:
        model, info = load_weights(folder / WEIGHTS)
    except (UsageError, DataError):
        return {"note": f"{WEIGHTS} was not written by `tinygrad-course train`: give model and test data to "
                        "tinygrad_course.viz.write_report, to see predictions here."}
    try:
        data = load_image_data(info.data)
    except (UsageError, DataError) as error:
        return {"note": f"The images of the run are not there any more: {error}"}
    try:
        trained_on = json.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))["images"]["digest"]
    except (OSError, ValueError, LookupError, TypeError):
        trained_on = None
    if trained_on not in (None, data.digest):
        return {"note": f"The images of {info.data} have changed since the run, so there are no predictions."}
    return {"model": model, "inputs": normalise(data.test_images, info.mean, info.std), "labels": data.test_labels,
            "pictures": data.test_images, "class_names": info.class_names}
