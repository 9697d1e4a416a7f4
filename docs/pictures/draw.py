"""The pictures of docs/how-the-kernels-work.md:  python docs/pictures/draw.py  writes the .svg files beside this one."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.hashsalt": "tinygrad_course", "svg.fonttype": "none", "font.size": 13})
INPUT, WEIGHT, RESULT, FAINT, INK = "#9ecae1", "#fdae6b", "#a1d99b", "#e8e8e8", "#333333"


def grid(ax: Axes, x: float, y: float, rows: int, cols: int, color: str) -> None:
    """rows x cols squares; (x, y) is the top left corner, y grows downwards."""
    ax.add_patch(Rectangle((x, y), cols, rows, facecolor=color))
    ax.vlines([x + c for c in range(1, cols)], y, y + rows, color="white", lw=0.6)
    ax.hlines([y + r for r in range(1, rows)], x, x + cols, color="white", lw=0.6)


def box(ax: Axes, x: float, y: float, width: float, height: float, color: str, text: str = "", size: float = 13) -> None:
    ax.add_patch(Rectangle((x, y), width, height, facecolor=color, edgecolor=INK, lw=1))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "", above: float = 0.6) -> None:
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=16, color=INK, lw=1.4))
    if text:
        ax.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - above, text, ha="center", va="center", fontsize=12)


def canvas(width: float, height: float, xlim: float, ylim: float, title: str) -> tuple[plt.Figure, Axes]:
    figure, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=(0, xlim), ylim=(ylim, 0), aspect="equal")
    ax.axis("off")
    ax.set_title(title, fontsize=15, loc="left")
    return figure, ax


def tile() -> plt.Figure:
    """One step of the micro-kernel."""
    figure, ax = canvas(9, 5.4, 50, 29, "One step k of the register tile: 16 loads feed 28 multiply-adds")
    grid(ax, 12, 8, 14, 32, FAINT)
    grid(ax, 12, 8, 14, 32, RESULT)
    grid(ax, 12, 5, 1, 32, INPUT)
    grid(ax, 9, 8, 14, 1, WEIGHT)
    ax.add_patch(Rectangle((12, 11), 16, 1, fill=False, edgecolor=INK, lw=2))
    ax.add_patch(Rectangle((12, 5), 16, 1, fill=False, edgecolor=INK, lw=2))
    ax.add_patch(Rectangle((9, 11), 1, 1, fill=False, edgecolor=INK, lw=2))
    ax.text(28, 3.6, "row k of B: 2 vectors of 16 numbers (2 loads)", ha="center", fontsize=12)
    ax.text(8.4, 15, "column k of A:\n14 numbers,\neach broadcast\nby its load", ha="right", va="center", fontsize=12)
    ax.text(28, 15.5, "C: 14 x 32 sums in 28 of the 32 vector registers,\nwhere they stay for the whole sum over k",
            ha="center", va="center", fontsize=12)
    ax.text(28, 24.5, "framed: one multiply-add   C[i, 0:16] += A[i, k] * B[k, 0:16]\n28 sums do not wait for each other, "
            "so the 4 cycles that one takes are hidden", ha="center", va="center", fontsize=12)
    return figure


def blocking() -> plt.Figure:
    """Which piece of the product lies in which cache."""
    figure, ax = canvas(9, 4.6, 50, 25, "A piece of every operand in the cache that suits it")
    box(ax, 2, 8, 8, 14, FAINT)
    box(ax, 2, 12, 5, 6, WEIGHT, "block\nL2", 12)
    ax.text(6, 6.8, "A (m x k)", ha="center")
    box(ax, 14, 8, 12, 8, FAINT)
    box(ax, 18, 8, 3, 4, INPUT, "panel\nL2", 12)
    ax.text(20, 6.8, "B (k x n)", ha="center")
    box(ax, 30, 8, 12, 14, FAINT)
    box(ax, 34, 13, 3, 2, RESULT, "", 12)
    ax.text(36, 6.8, "C (m x n)", ha="center")
    ax.text(35.5, 17.6, "tile:\nregisters", ha="center", fontsize=12)
    ax.text(12, 13.5, "x", ha="center", fontsize=18)
    ax.text(28, 13.5, "=", ha="center", fontsize=18)
    ax.text(12, 2.6, "k is cut into slices of 512: a panel of B (512 x 32) is 64 KB", ha="left", fontsize=12)
    ax.text(12, 4.6, "and stays in L2, with the rows of A that pass over it", ha="left", fontsize=12)
    return figure


def convolution() -> plt.Figure:
    """Taps as shifts of a padded copy."""
    figure, ax = canvas(9, 5, 50, 27, "A convolution is a product whose right-hand matrix is never built")
    grid(ax, 2, 7, 10, 12, FAINT)
    grid(ax, 3, 8, 8, 10, INPUT)
    for tap, (r, c) in enumerate([(0, 0), (1, 2), (2, 1)]):
        ax.add_patch(Rectangle((2 + c, 10 + r), 8, 1, fill=False, edgecolor=["#d62728", "#9467bd", "#1f77b4"][tap], lw=2.5))
    ax.text(8, 5.6, "padded copy of one image", ha="center", fontsize=12)
    ax.text(8, 19.4, "each tap (i, j) reads the same\nvector, shifted by i rows\nand j columns", ha="center", va="top",
            fontsize=12)
    arrow(ax, (15, 12), (21, 12))
    for tap in range(9):
        color = {0: "#d62728", 5: "#9467bd", 7: "#1f77b4"}.get(tap)
        box(ax, 22, 7 + tap * 1.2, 9, 1.0, INPUT)
        if color:
            ax.add_patch(Rectangle((22, 7 + tap * 1.2), 9, 1.0, fill=False, edgecolor=color, lw=2.5))
    ax.text(26.5, 5.6, "rows of B: k = (channel, tap)", ha="center", fontsize=12)
    ax.text(26.5, 19.4, "not in memory: a table holds\none offset for every k", ha="center", fontsize=12, va="top")
    arrow(ax, (32, 12), (37, 12))
    box(ax, 38, 7, 9, 10.6, RESULT, "register tile:\n14 output\nchannels x\n32 pixels", 12)
    ax.text(42.5, 19.4, "weights, packed once,\nare the columns of A", ha="center", fontsize=12, va="top")
    return figure


def winograd() -> plt.Figure:
    """F(4x4, 3x3)."""
    figure, ax = canvas(9.6, 4.6, 54, 24, "Winograd F(4x4, 3x3): 36 multiplications for 16 outputs instead of 144")
    grid(ax, 1, 7, 6, 10, INPUT)
    ax.add_patch(Rectangle((1, 7), 6, 6, fill=False, edgecolor="#d62728", lw=2.5))
    ax.add_patch(Rectangle((5, 7), 6, 6, fill=False, edgecolor="#1f77b4", lw=2.5, ls="--"))
    ax.text(6, 5, "6 x 6 tiles of the input,\noverlapping by 2", ha="center", fontsize=12)
    arrow(ax, (12, 10), (17, 10), r"$B^T d\,B$", 1.1)
    grid(ax, 18, 7, 6, 6, INPUT)
    ax.text(21, 5.6, "V: 6 x 6", ha="center", fontsize=12)
    grid(ax, 18, 16, 6, 6, WEIGHT)
    ax.text(17.2, 19, r"U = $G\,g\,G^T$" "\nof each filter,\nonce per call", ha="right", va="center", fontsize=12)
    arrow(ax, (25, 10), (30, 12.6))
    arrow(ax, (25, 19), (30, 15.4))
    box(ax, 30.5, 11, 9, 6, RESULT, "36 products\nM = U V\n(channels)", 12)
    arrow(ax, (40, 14), (46, 14), r"$A^T M A$", 1.1)
    grid(ax, 47, 12, 4, 4, RESULT)
    ax.text(49, 10.6, "4 x 4 outputs", ha="center", fontsize=12)
    ax.text(31, 20.2, "one matrix product over the channels\nfor each of the 36 positions,\n"
            "for all tiles of all images together", ha="left", va="center", fontsize=12)
    return figure


def order() -> plt.Figure:
    """Blocks by size, sums in block order."""
    figure, ax = canvas(9, 4, 50, 20, "The same bits for any number of threads")
    for block in range(8):
        box(ax, 2 + block * 5.5, 4, 5, 3, INPUT, f"block {block}", 12)
        box(ax, 2 + block * 5.5, 11, 5, 3, FAINT, f"$s_{block}$")
        arrow(ax, (4.5 + block * 5.5, 7.2), (4.5 + block * 5.5, 10.8))
    ax.text(2, 2.6, "The input is cut by its size alone; any thread may take any block:", fontsize=12)
    ax.text(25, 17, r"then one thread adds $((s_0 + s_1) + s_2) + \dots$ in the order of the blocks", ha="center")
    return figure


def passes() -> plt.Figure:
    """Traffic of batch norm and ReLU, apart and fused."""
    figure, ax = plt.subplots(figsize=(9, 3.6))
    names = ["forward, two kernels", "forward, fused", "backward, two kernels", "backward, fused"]
    reads, writes = [3, 2, 6, 4], [2, 1, 2, 1]
    # forward: statistics read x; normalise reads x, writes y; relu reads y, writes z.
    # backward: relu reads g and y, writes; sums read g and x; the last pass reads g and x, writes.
    places = range(len(names))
    ax.barh(places, reads, color=INPUT, edgecolor=INK, label="arrays read")
    ax.barh(places, writes, left=reads, color=RESULT, edgecolor=INK, label="arrays written")
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.set_xlabel("passes over an activation-sized array")
    ax.set_title("Batch norm + ReLU is bound by memory: fewer passes are fewer seconds", fontsize=15, loc="left", x=-0.28)
    ax.legend(loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    for draw in (tile, blocking, convolution, winograd, order, passes):
        figure = draw()
        figure.savefig(Path(__file__).with_name(f"{draw.__name__}.svg"), bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
