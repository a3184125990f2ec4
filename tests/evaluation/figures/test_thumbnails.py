"""Small copies of images beside an evaluation: which, how many, and where they are found later."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.samples import Samples
from imgrec.evaluation.figures.choose import choose_images, worst_mistakes
from imgrec.evaluation.figures.thumbnails import LONGEST_PX, write_thumbnails, write_thumbnails_from
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.evaluation_folder import as_uri
from report_data import make_predictions


def kept(folder: Path) -> dict[str, bytes]:
    table = pq.read_table(folder / "thumbnails.parquet")
    return dict(zip(table["path"].to_pylist(), table["image"].to_pylist(), strict=True))


def files(folder: Path, sizes: list[tuple[int, int]]) -> tuple[Predictions, list[Path]]:
    """Write images; return predictions about them, and their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{place}.png" for place in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        Image.new("RGB", size, "#336699").save(path)
    random = np.random.default_rng(0)
    logits = random.normal(size=(len(paths), 2)).astype(np.float32)
    return Predictions([str(path) for path in paths], np.zeros(len(paths), dtype=np.int64), logits, ["a", "b"]), paths


def test_the_worst_mistake_has_the_highest_confidence():
    predictions = make_predictions(200, sure=1.0)
    rows = worst_mistakes(predictions)
    assert sorted(rows.tolist()) == np.flatnonzero(predictions.predicted != predictions.labels).tolist()
    sure = predictions.probabilities.max(axis=1)[rows]
    assert sure.tolist() == sorted(sure, reverse=True)


def test_with_several_labels_it_has_the_largest_error():
    predictions = make_predictions(200, several=True, sure=1.0)
    rows = worst_mistakes(predictions)
    off = np.abs(predictions.probabilities - predictions.labels).max(axis=1)
    assert off[rows[0]] == off.max()


def test_each_cell_of_the_matrix_has_an_image_and_none_is_named_twice():
    predictions = make_predictions(400, sure=1.0)
    rows = choose_images(predictions)
    assert len(set(rows)) == len(rows)
    cells = {(int(predictions.labels[row]), int(predictions.predicted[row])) for row in rows}
    assert cells == set(zip(predictions.labels.tolist(), predictions.predicted.tolist(), strict=True))


def test_the_number_is_bounded_and_the_worst_mistakes_come_first():
    predictions = make_predictions(400, sure=1.0)
    assert choose_images(predictions, at_most=7) == worst_mistakes(predictions)[:7].tolist()


def test_images_are_found_by_name_not_by_index(tmp_path):
    predictions = make_predictions(30)
    pixels = np.zeros((31, 8, 8, 3), dtype=np.uint8)
    pixels[1:] = np.arange(30, dtype=np.uint8)[:, None, None, None]
    samples = Samples(["another", *predictions.names], ArrayImages(pixels), np.zeros(31, dtype=np.int64))
    write_thumbnails(predictions, samples, tmp_path)
    for name, content in kept(tmp_path).items():
        row = list(predictions.names).index(name)
        assert np.asarray(Image.open(io.BytesIO(content)))[0, 0].tolist() == [row] * 3


def test_a_large_image_is_made_small_and_keeps_its_shape(tmp_path):
    predictions, paths = files(tmp_path, [(1000, 500), (40, 20), (1, 900)])
    write_thumbnails(predictions, Samples(list(predictions.names), FileImages(paths), predictions.labels), tmp_path)
    sizes = {Path(name).stem: Image.open(io.BytesIO(content)).size for name, content in kept(tmp_path).items()}
    assert sizes["0"] == (LONGEST_PX, LONGEST_PX // 2)
    assert sizes["1"] == (40, 20)


def test_a_missing_image_is_skipped(tmp_path):
    predictions, paths = files(tmp_path, [(9, 9), (9, 9)])
    paths[0].unlink()
    samples = Samples(list(predictions.names), FileImages(paths), predictions.labels)
    assert write_thumbnails(predictions, samples, tmp_path) == 1
    assert list(kept(tmp_path)) == [str(paths[1])]


def test_images_that_moved_are_found_below_their_new_root(tmp_path):
    predictions, paths = files(tmp_path / "old" / "cat", [(9, 9), (9, 9)])
    assert write_thumbnails_from(predictions, tmp_path, root=None) == (2, 2)
    (tmp_path / "new").mkdir()
    (tmp_path / "old").rename(tmp_path / "new" / "old")
    (tmp_path / "thumbnails.parquet").unlink()
    assert write_thumbnails_from(predictions, tmp_path, root=None) == (0, 2)
    assert not (tmp_path / "thumbnails.parquet").exists()
    assert write_thumbnails_from(predictions, tmp_path, root=tmp_path / "new" / "old") == (2, 2)
    assert set(kept(tmp_path)) == {str(path) for path in paths}


def test_the_kind_of_an_image_is_in_its_address():
    assert as_uri(b"\x89PNG...").startswith("data:image/png;base64,")
    assert as_uri(b"\xff\xd8\xff").startswith("data:image/jpeg;base64,")
    assert as_uri(b"RIFF....WEBP").startswith("data:image/webp;base64,")


def test_below_a_root_no_image_from_elsewhere_is_taken(tmp_path):
    """A page without images is made with an empty root, though the images are still where the table says."""
    predictions, paths = files(tmp_path / "old", [(9, 9)])
    root = tmp_path / "deep" / "empty"
    root.mkdir(parents=True)
    assert paths[0].is_file()
    assert write_thumbnails_from(predictions, tmp_path, root=root) == (0, 1)
    upwards = replace(predictions, names=["../../old/0.png"])
    assert (root / "../../old/0.png").is_file() == (tmp_path / "old/0.png").is_file()
    assert write_thumbnails_from(upwards, tmp_path, root=root) == (0, 1)
