"""The figures: colours, text and names in their places, no global state."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from imgrec.evaluation.figures.figures import draw_confusion_matrix, draw_image_grid, draw_pr_curves, render, save_png

AWKWARD = ["$x^2$ costs $5", "<script>alert(1)</script>", "日本語", "tab\tline\n\udcff", "$\\frac{a$", "a" * 300]


def draw_matrix(confusion, class_names=None):
    confusion = np.array(confusion)
    return draw_confusion_matrix(confusion, class_names=class_names or [f"c{i}" for i in range(len(confusion))])


def draw_curves(num_classes, num_samples=60, absent=()):
    random = np.random.default_rng(0)
    labels = random.choice([i for i in range(num_classes) if i not in absent], num_samples)
    probabilities = random.dirichlet(np.ones(num_classes), num_samples)
    is_positive = labels[:, None] == np.arange(num_classes)
    return draw_pr_curves(probabilities, is_positive, class_names=[f"c{i}" for i in range(num_classes)])


def cell_texts(figure):
    return {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in figure.axes[0].texts}


def tick_names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend_texts(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def cell_colour(figure, row, column):
    image = figure.axes[0].images[0]
    return tuple(image.to_rgba(image.get_array())[row, column, :3])


def test_render_returns_opaque_pixels_of_the_size_of_the_figure():
    pixels = render(Figure(figsize=(2, 1), dpi=50))
    assert pixels.shape == (50, 100, 3) and pixels.dtype == np.uint8
    assert (pixels == 255).all()


def test_a_saved_figure_has_the_pixels_that_render_returns(tmp_path):
    figure = draw_matrix([[3, 1], [0, 2]])
    save_png(figure, tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), render(figure))


def test_counts_are_in_their_cells_with_the_label_as_row():
    assert cell_texts(draw_matrix([[3, 1], [0, 2]])) == {(0, 0): "3", (0, 1): "1", (1, 1): "2"}


def test_colours_are_shares_of_the_label():
    figure = draw_matrix([[90, 10], [9, 1]])
    assert cell_colour(figure, 0, 0) == cell_colour(figure, 1, 0)
    assert cell_colour(figure, 0, 1) == cell_colour(figure, 1, 1)
    assert sum(cell_colour(figure, 0, 0)) < sum(cell_colour(figure, 0, 1)) - 0.5


def test_no_confusion_is_white_and_one_in_a_thousand_is_not():
    figure = draw_matrix([[999, 1], [0, 1]])
    assert cell_colour(figure, 1, 0) == (1, 1, 1)
    assert sum(cell_colour(figure, 0, 1)) < 2.8


def test_a_class_without_images_is_a_grey_row():
    red, green, blue = cell_colour(draw_matrix([[1, 0], [0, 0]]), 1, 0)
    assert red == green == blue < 0.9


@pytest.mark.parametrize(("num_classes", "has_counts"), [(25, True), (26, False)])
def test_counts_are_omitted_above_25_classes(num_classes, has_counts):
    assert bool(cell_texts(draw_matrix(np.eye(num_classes, dtype=int)))) == has_counts


@pytest.mark.parametrize("num_classes", [2, 10, 43, 100])
def test_all_names_are_written_up_to_100_classes(num_classes):
    axes = draw_matrix(np.eye(num_classes, dtype=int)).axes[0]
    assert tick_names(axes.xaxis) == tick_names(axes.yaxis) == [f"c{i}" for i in range(num_classes)]


def test_with_many_classes_every_kth_name_is_written_and_the_axis_says_so():
    axes = draw_matrix(np.eye(400, dtype=int)).axes[0]
    names = tick_names(axes.yaxis)
    step = int(names[1].removeprefix("c"))
    assert step > 1 and names == [f"c{i}" for i in range(0, 400, step)]
    assert axes.get_xlabel() == f"prediction (1 of {step} names shown)"


@pytest.mark.parametrize("num_classes", [2, 10, 43, 100, 300])
def test_names_do_not_overlap_and_nothing_is_cut_off(num_classes):
    names = [f"a rather long name of class number {i}" for i in range(num_classes)]
    figure = draw_matrix(np.eye(num_classes, dtype=int), names)
    render(figure)
    axes = figure.axes[0]
    for labels, side in ((axes.get_xticklabels(), "x"), (axes.get_yticklabels(), "y")):
        ends = [getattr(label.get_window_extent(), f"interval{side}") for label in labels]
        gaps = [max(a[0], b[0]) - min(a[1], b[1]) for a, b in pairwise(ends)]
        assert min(gaps) >= 0
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_awkward_names_are_drawn_as_they_are():
    figure = draw_matrix(np.eye(6, dtype=int), AWKWARD)
    render(figure)  # a missing letter or a formula would be a warning or an error
    long = "a" * 14 + "…" + "a" * 13
    shown = ["$x^2$ costs $5", "<script>alert(1)</script>", "#2 □□□", r"tab\tline\n\xff", "$\\frac{a$", long]
    assert tick_names(figure.axes[0].yaxis) == shown
    assert tick_names(figure.axes[0].xaxis) == shown


def test_names_that_look_alike_when_cut_are_told_apart():
    names = ["a" * 20 + middle + "b" * 20 for middle in "xy"]
    shown = tick_names(draw_matrix([[1, 0], [0, 1]], names).axes[0].yaxis)
    assert [name[:3] for name in shown] == ["#0 ", "#1 "]


def test_each_of_ten_classes_has_a_curve_with_its_average_precision():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    is_positive = np.array([[True, False], [False, True], [False, True]])
    figure = draw_pr_curves(probabilities, is_positive, class_names=["ant", "bee"])
    assert legend_texts(figure) == ["ant: 1.000", "bee: 1.000"]
    assert len(legend_texts(draw_curves(10))) == 10


def test_curves_of_one_image_are_distinct_in_colour_or_dashes():
    lines = draw_curves(10).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10


def test_the_area_under_a_drawn_curve_is_the_average_precision():
    figure = draw_curves(3)
    for line, text in zip(figure.axes[0].lines, legend_texts(figure), strict=True):
        recall, precision = line.get_data()
        assert line.get_drawstyle() == "steps-pre"
        area = np.sum(np.diff(recall) * precision[1:])
        assert f"{area:.3f}" == text.split()[-1]


def test_with_more_than_ten_classes_the_legend_has_the_mean_and_the_five_worst():
    texts = legend_texts(draw_curves(30, num_samples=600))
    assert len(texts) == 6 and texts[0].startswith("mean of 30 classes: 0.")
    assert [float(text.split()[-1]) for text in texts[1:]] == sorted(float(text.split()[-1]) for text in texts[1:])


def test_the_legend_marks_a_class_without_images():
    assert legend_texts(draw_curves(3, absent=[1]))[1] == "c1: no image"


def test_curves_of_no_positives_at_all_can_be_drawn():
    nothing = np.zeros((4, 12), dtype=bool)
    figure = draw_pr_curves(np.full((4, 12), 0.5), nothing, class_names=[f"c{i}" for i in range(12)])
    assert legend_texts(figure) == [f"c{i}: no image" for i in range(5)]


def test_names_in_the_legend_are_no_formulas():
    figure = draw_pr_curves(np.full((2, 2), 0.5), np.eye(2, dtype=bool), class_names=["$x^2$", "$\\frac{$"])
    render(figure)
    assert not any(text.get_parse_math() for text in figure.axes[0].get_legend().get_texts())


def test_images_stand_in_the_grid_in_order_with_their_titles():
    shades = [0, 60, 120, 180]
    images = np.stack([np.full((8, 8, 3), shade, dtype=np.uint8) for shade in shades])
    figure = draw_image_grid(images, ["a", "b", "$c", "日"])
    pixels = render(figure)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    centres = [
        pixels[row * height + height * 5 // 8, column * width + width // 2, 0] for row in (0, 1) for column in (0, 1)
    ]
    assert centres == shades
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "$c", "□"]


def test_a_grid_keeps_the_shape_of_wide_images():
    images = np.zeros((1, 20, 60, 3), dtype=np.uint8)
    rows, columns = np.nonzero((render(draw_image_grid(images, [""])) < 128).all(axis=2))
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(3, abs=0.06)


def test_a_grid_wants_a_title_for_each_image():
    with pytest.raises(ValueError, match="shorter"):
        draw_image_grid(np.zeros((2, 4, 4, 3), dtype=np.uint8), ["a"])


def test_no_global_state_of_matplotlib_is_used():
    code = (
        "import sys, numpy as np; from imgrec.evaluation.figures.figures import *;"
        "assert 'matplotlib' not in sys.modules;"
        "render(draw_confusion_matrix(np.eye(2, dtype=int), class_names=['a', 'b']));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
