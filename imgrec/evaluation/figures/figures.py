"""Confusion matrix, PR curves and image grids as matplotlib figures, without pyplot's global state: thread-safe.

Each `draw_` function returns a Figure; `render` turns it into an array for TensorBoard, `save_png` into a file. Colours
after Okabe and Ito 2008, distinguishable by the colour-blind. Names are drawn as plain text, never as formulas.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.files.atomic_write import durable_write
from imgrec.core.text import printable
from imgrec.evaluation.metrics.rates import FloatArray, Ranking, mean_defined, rank_classes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_confusion_matrix", "draw_image_grid", "draw_pr_curves", "drawable", "render", "save_png"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DPI = 120
LONGEST_NAME = 28
MOST_COUNTS = 25  # classes up to which the counts are written into the matrix
MOST_CURVES = 10  # classes up to which each has a curve of its own in the legend
WORST_CURVES = 5
SMALLEST_LETTER_PT = 6.0
UNKNOWN_LETTER = "\N{WHITE SQUARE}"
CURVES_INCHES = (8.0, 5.0)
LEGEND_PT, LEGEND_TITLE_PT = 8.0, 10.0
CELL_INCHES = 1.5
TITLE_SHARE = 0.14  # height of a title, where the width of an image is 1


def draw_confusion_matrix(confusion: NDArray[np.int64], *, class_names: Sequence[str]) -> "Figure":
    """Draw counts (C, C), rows are labels, coloured by their share of the row; grey where a class has no image.

    With up to 25 classes the counts are written into the cells; with many classes only every k-th name is shown.
    """
    from matplotlib.colors import PowerNorm

    num_classes = len(class_names)
    side = float(np.clip(0.45 * num_classes, 2.5, 10.5))  # of the matrix, inches
    cell_pt = side * 72 / num_classes
    names = _class_titles(class_names)
    figure, axes, bar_axes = _place_matrix(side, margin=_longest_inches(names, size_pt=_name_size(cell_pt)))
    support = confusion.sum(axis=1, keepdims=True)
    share = np.divide(confusion, support, out=np.full(confusion.shape, np.nan), where=support > 0)
    # Square root: on a linear scale only the diagonal would be visible.
    norm = PowerNorm(0.5, vmin=1e-9, vmax=1)
    image = axes.imshow(np.ma.masked_invalid(share), cmap=_shades(), norm=norm, interpolation="nearest")
    _label_classes(axes, names, cell_pt=cell_pt)
    _label_shares(figure.colorbar(image, cax=bar_axes))
    if num_classes <= MOST_COUNTS:
        _write_counts(axes, confusion, share, cell_pt=cell_pt)
    return figure


def _place_matrix(side: float, *, margin: float) -> tuple["Figure", Any, Any]:
    """Return a figure with square axes of `side` inches, `margin` inches for names, and narrow axes for the colours.

    No layout engine: they are slow with many names, and cut off the axis label beside long ones.
    """
    from matplotlib.figure import Figure

    left = bottom = margin + 0.55
    width, height = left + side + 1.15, bottom + side + 0.15
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    bar_height = min(side, 4.0)
    bar_bottom = bottom + (side - bar_height) / 2
    bar_axes = figure.add_axes(((left + side + 0.2) / width, bar_bottom / height, 0.15 / width, bar_height / height))
    return figure, axes, bar_axes


def _longest_inches(names: Sequence[str], *, size_pt: float) -> float:
    """Return the width of the longest name as drawn at that size."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size_pt)
    return max(text_to_path.get_text_width_height_descent(name, font, False)[0] for name in names) / 72


def _shades() -> Any:
    """Return light to dark blue; 0 is white, a class without images grey."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    blues = ListedColormap(colormaps["Blues"](np.linspace(0.12, 1, 256)))
    return blues.with_extremes(under="white", bad="#D0D0D0")


def _name_size(cell_pt: float) -> float:
    return float(np.clip(0.8 * cell_pt, SMALLEST_LETTER_PT, 10))


def _label_classes(axes: Any, names: Sequence[str], *, cell_pt: float) -> None:
    """Write the class names along both axes, as many as fit at a readable size."""
    size = _name_size(cell_pt)
    step = int(np.ceil(1.2 * size / cell_pt))
    ticks = range(0, len(names), step)
    shown = [names[i] for i in ticks]
    fits_level = max(map(len, shown)) * 0.65 * size <= cell_pt
    axes.set_xticks(ticks, shown, fontsize=size, rotation=0 if fits_level else 90, parse_math=False)
    axes.set_yticks(ticks, shown, fontsize=size, parse_math=False)
    axes.tick_params(length=2)
    axes.set_xlabel("prediction" + (f" (1 of {step} names shown)" if step > 1 else ""))
    axes.set_ylabel("label")


def _label_shares(bar: Any) -> None:
    levels = [0.01, 0.05, 0.1, 0.25, 0.5, 1]
    bar.set_ticks(levels, labels=[f"{level:.0%}" for level in levels], fontsize=8)
    bar.set_label("share of the row", fontsize=8)


def _write_counts(axes: Any, confusion: NDArray[np.int64], share: FloatArray, *, cell_pt: float) -> None:
    """Write the counts that are not zero into their cells, white on dark."""
    size = float(np.clip(cell_pt / (0.7 * len(str(confusion.max()))), 4, 11))
    for row, column in np.argwhere(confusion > 0):
        colour = "white" if share[row, column] > 0.35 else "black"
        axes.text(column, row, f"{confusion[row, column]}", ha="center", va="center", color=colour, fontsize=size)


def draw_pr_curves(
    probabilities: FloatArray, is_positive: NDArray[np.bool_], *, class_names: Sequence[str]
) -> "Figure":
    """Draw precision over recall, one class against the rest, from probabilities and labels, both (N, C).

    Up to 10 classes each has a name in the legend. With more, the mean and the five worst stand out, the rest is grey.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=CURVES_INCHES, dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    rankings = rank_classes(probabilities, is_positive)
    areas = np.array([ranking.average_precision for ranking in rankings])
    chosen = np.arange(len(areas))
    if len(areas) > MOST_CURVES:
        chosen = np.argsort(areas)[:WORST_CURVES]  # NaN sorts last
        _draw_rest(axes, rankings, mean_area=mean_defined(areas))
    names = _class_titles(class_names)
    for place, index in enumerate(chosen.tolist()):
        name, area = names[index], areas[index]
        label = f"{name}: no image" if np.isnan(area) else f"{name}: {area:.3f}"
        style = ("-", "--")[place // len(COLOURS)]
        _draw_steps(axes, rankings[index], color=COLOURS[place % len(COLOURS)], linestyle=style, label=label)
    is_partial = len(chosen) < len(areas)
    _finish_curves(axes, title="average precision" + f"\n(mean and {WORST_CURVES} worst)" * is_partial)
    _place_curves(axes)
    return figure


def _place_curves(axes: Any) -> None:
    """Give the axes the width beside the legend. No layout engine: it would draw everything twice."""
    width, height = CURVES_INCHES
    legend = axes.get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    titles = legend.get_title().get_text().split("\n")
    beside = max(
        _longest_inches(texts or [""], size_pt=LEGEND_PT) + 3 * LEGEND_PT / 72,  # the line and a gap: 2.8 letters
        _longest_inches(titles, size_pt=LEGEND_TITLE_PT),
    )
    left, bottom, right = 0.62, 0.55, width - beside - 0.25
    axes.set_position((left / width, bottom / height, (right - left) / width, (height - bottom - 0.06) / height))


def _draw_steps(axes: Any, ranking: Ranking, **style: Any) -> None:
    """Draw the steps whose area is the average precision: each precision holds back to the recall before it."""
    recall = np.concatenate([[0.0], ranking.recall])
    precision = np.concatenate([ranking.precision[:1], ranking.precision])
    axes.step(recall[: len(precision)], precision, where="pre", **style)


def _draw_rest(axes: Any, rankings: Sequence[Ranking], *, mean_area: float) -> None:
    """Draw all curves thin and grey, and their mean over the classes thick and black."""
    grid = np.linspace(0, 1, 201)
    defined = [ranking for ranking in rankings if len(ranking.found)]
    if not defined:
        return
    curves = [ranking.precision[np.searchsorted(ranking.recall, grid)] for ranking in defined]
    axes.plot(grid, np.transpose(curves), color="#BBBBBB", linewidth=0.4, zorder=1)
    label = f"mean of {len(curves)} classes: {mean_area:.3f}"
    axes.plot(grid, np.mean(curves, axis=0), color="black", linewidth=2.5, label=label)


def _finish_curves(axes: Any, *, title: str) -> None:
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.grid(color="#E5E5E5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "alignment": "left"}
    legend = axes.legend(title=title, frameon=False, fontsize=LEGEND_PT, title_fontsize=LEGEND_TITLE_PT, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)


def draw_image_grid(images: NDArray[np.uint8], titles: Sequence[str]) -> "Figure":
    """Draw images (N, H, W, 3), values 0-255, in a square grid with titles."""
    from matplotlib.figure import Figure

    num_columns = int(np.ceil(np.sqrt(len(images))))
    num_rows = int(np.ceil(len(images) / num_columns))
    height = images.shape[1] / images.shape[2]  # of an image, where its width is 1
    pitch = height + TITLE_SHARE
    figure = Figure(figsize=(CELL_INCHES * num_columns, CELL_INCHES * pitch * num_rows), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for index, (image, title) in enumerate(zip(images, titles, strict=True)):
        left, bottom = index % num_columns, pitch * (index // num_columns + 1)
        box = (left + 0.02, left + 0.98, bottom - 0.02 * height, bottom - 0.98 * height)
        axes.imshow(image, extent=box, aspect="auto")
        axes.text(
            left + 0.5, bottom - height, drawable(title), fontsize=6.5, ha="center", va="bottom", parse_math=False
        )
    axes.set(xlim=(0, num_columns), ylim=(pitch * num_rows, 0))  # after imshow, which moves them
    return figure


def render(figure: "Figure") -> NDArray[np.uint8]:
    """Return the figure as pixels: uint8 (H, W, 3), RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()


def save_png(figure: "Figure", path: Path) -> None:
    """Write the figure as PNG, atomically.

    Raises:
        RunFolderError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    with durable_write(path) as file:
        canvas.print_png(file)


def _class_titles(class_names: Sequence[str]) -> list[str]:
    """Return drawable names, with the class index where they would be ambiguous."""
    names = [drawable(name) for name in class_names]
    counts = Counter(names)
    is_unclear = [counts[name] > 1 or UNKNOWN_LETTER in name for name in names]
    return [f"#{i} {name}" if is_unclear[i] else name for i, name in enumerate(names)]


def drawable(text: str, *, longest: int = LONGEST_NAME) -> str:
    """Return `text` with a box for each character that the font lacks, shortened in the middle to `longest`."""
    shown = "".join(letter if ord(letter) in _letters() else UNKNOWN_LETTER for letter in printable(text))
    half = longest // 2
    return shown if len(shown) <= longest else f"{shown[:half]}\N{HORIZONTAL ELLIPSIS}{shown[1 - half :]}"


@cache
def _letters() -> frozenset[int]:
    """Return the code points of matplotlib's font; others would draw a box and print a warning."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
