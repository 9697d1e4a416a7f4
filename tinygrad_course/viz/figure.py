"""What all drawings share: figures without pyplot, font sizes, colours, saving.

Only matplotlib's object interface is used: no window, no global state, safe in threads and on machines without display.
"""

import os
from typing import TYPE_CHECKING

from tinygrad_course.errors import DataError, DependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

# Chosen so that everything stays readable when the picture is shown at half its size.
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 17, 15, 13
DPI = 150

# From the palette of M. Okabe and K. Ito (2008), told apart with every kind of colour vision.
TRAIN_COLOUR, VALIDATION_COLOUR, WRONG_COLOUR, GREY = "#0072B2", "#D55E00", "#D55E00", "#5A5A5A"


def new_figure(width: float, height: float) -> "Figure":
    """An empty white figure of `width` x `height` inches that renders to PNG.  Needs matplotlib (extra "viz")."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise DependencyError("drawing needs the package matplotlib: pip install matplotlib") from error
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)  # inches around each panel
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def label_axes(ax: "Axes", title: str, x: str, y: str) -> None:
    """Set title, axis labels and font sizes of one panel."""
    ax.set_title(title, fontsize=TITLE_SIZE, pad=10)
    ax.set_xlabel(x, fontsize=LABEL_SIZE)
    ax.set_ylabel(y, fontsize=LABEL_SIZE)
    ax.tick_params(labelsize=TICK_SIZE)


def save_figure(drawing: "Figure | Axes", path: str | os.PathLike[str], *, dpi: float = DPI) -> None:
    """Write a figure (or the figure of some axes) to `path`; the ending gives the format (.png, .pdf, .svg).

    dpi  pixels per inch of a PNG; its texts can be read from about 60 on

    Raises DataError if the folder is missing, the file cannot be written, or the format is unknown.
    """
    figure: FigureBase | None = drawing.figure if hasattr(drawing, "figure") else None
    root = figure.get_figure(root=True) if figure is not None else None
    if root is None:
        raise DataError(f"save_figure: {type(drawing).__name__} does not belong to a figure. "
                        "Give a Figure or its Axes.")
    try:
        root.savefig(path, dpi=dpi)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the figure cannot be written ({error}). Give a file in an existing folder, "
                        "ending in .png, .pdf or .svg.") from error
