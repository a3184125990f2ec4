"""imgrec split: from a folder or a table to a split file; what it keeps together, says and refuses."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrec.cli.inputs.columns import find_tables, group_names, read_column
from imgrec.cli.inputs.split_summary import describe_split, split_warnings
from imgrec.cli.verbs.split import main
from imgrec.data.sources.folder import read_folder
from imgrec.data.splits.split_format import SplitFile, read_split_file
from imgrec.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Twelve images of three patients in two classes; and a table beside them. The working folder is above."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = ["path,patient,taken"]
    for i in range(24):
        name = f"{'cat' if i % 2 else 'dog'}/p{i // 4}_{i:02d}.png"
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "photos" / name)
        lines.append(f"{name},{i // 4},2024-{1 + i // 4:02d}-{1 + i:02d}")
    (tmp_path / "photos" / "metadata.csv").write_text("\n".join(lines))
    return tmp_path / "photos"


def split(command: str, monkeypatch) -> SplitFile:
    """Run `imgrec split` with `--output s.json` and return what it wrote."""
    monkeypatch.setattr(sys, "argv", ["imgrec", *shlex.split(command), "--output", "s.json"])
    main()
    return read_split_file(Path("s.json"))


def sides_of(found: SplitFile, key) -> dict[str, set[tuple[int, ...]]]:
    sides: dict[str, set[tuple[int, ...]]] = {}
    for name, row in zip(found.names, found.sides.tolist(), strict=True):
        sides.setdefault(key(name), set()).add(tuple(row))
    return sides


def patient(name: str) -> str:
    return name.split("/")[1].split("_")[0]


def test_a_folder_is_split_by_class(photos, monkeypatch, capsys):
    found = split("photos --keep-duplicates no --val 0.25 --test 0.25", monkeypatch)
    assert found.names[0] == "cat/p0_01.png"
    assert (found.folds, found.seed, len(found.names)) == (0, 1, 24)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "24 images, 2 classes, no groups"
    assert [line.split() for line in printed[2:6]] == [
        ["split", "images", "share", "target", "cat", "dog"],
        ["train", "12", "50.0", "%", "50.0", "%", "6", "6"],
        ["val", "6", "25.0", "%", "25.0", "%", "3", "3"],
        ["test", "6", "25.0", "%", "25.0", "%", "3", "3"],
    ]
    assert printed[-1] == ("Written: s.json. Use it: python train.py data=folder data.root=photos data.splits=s.json")


@pytest.mark.parametrize(
    "option", ["--group patient", r"--group-pattern '^(p\d)_'", r"""'data.group_pattern="^(p\d)_"'"""]
)
def test_groups_by_a_column_by_names_and_by_the_data_stay_whole(photos, monkeypatch, option, capsys):
    found = split(f"photos --keep-duplicates no --folds 3 {option}", monkeypatch)
    assert all(len(sides) == 1 for sides in sides_of(found, patient).values())
    assert np.all((found.sides == 2).sum(axis=1) == 1)
    assert "data.splits=s.json data.fold=0,1,2" in capsys.readouterr().out


def test_groups_given_in_several_ways_are_joined(photos, monkeypatch):
    table = photos / "metadata.csv"
    table.write_text(table.read_text().replace("p1_04.png,1,", "p1_04.png,0,"))
    found = split(r"photos --keep-duplicates no --folds 3 --group patient --group-pattern '^(p\d)_'", monkeypatch)
    sides = sides_of(found, patient)
    assert sides["p0"] == sides["p1"]


def test_equal_images_stay_together_and_join_groups(photos, monkeypatch, capsys):
    (photos / "cat/p0_01.png").write_bytes((photos / "cat/p5_21.png").read_bytes())
    found = split(r"photos --keep-duplicates exact --folds 3 --group patient", monkeypatch)
    sides = sides_of(found, patient)
    assert sides["p0"] == sides["p5"]
    assert "2 images are equal images, in 1 group; 6 groups become 5." in capsys.readouterr().err


def test_nearly_equal_images_stay_together_by_default(photos, monkeypatch):
    ramp = np.linspace(0, 255, 200, dtype=np.uint8)
    spot = np.hypot(*np.mgrid[-100:100, -60:140]) < 50
    image = Image.fromarray(np.where(spot, 255 - ramp[:, None], ramp)).convert("RGB")
    image.save(photos / "dog/p0_00.png")
    image.resize((120, 120)).save(photos / "dog/p5_20.png")
    found = split("photos --folds 4", monkeypatch)
    sides = sides_of(found, str)
    assert sides["dog/p0_00.png"] == sides["dog/p5_20.png"]
    assert {group for group in found.groups if group} == {"dog/p0_00.png"}
    assert found.rule["keep_duplicates"] == "near"


def test_by_time_the_earliest_are_trained_on_and_groups_stay_whole(photos, monkeypatch):
    found = split("photos --keep-duplicates no --time taken --group patient --val 0.2 --test 0.2", monkeypatch)
    order = [sides_of(found, patient)[f"p{i}"] for i in range(6)]
    assert order == [{(0,)}] * 4 + [{(1,)}, {(2,)}]


def test_a_table_is_split_and_its_columns_are_known(photos, monkeypatch, capsys):
    lines = (photos / "metadata.csv").read_text().splitlines()
    rows = [f"{line},{line.split('/')[0]}" for line in lines[1:]]
    Path("labels.csv").write_text("\n".join([f"{lines[0]},label", *rows]))
    found = split("labels.csv data.root=photos --keep-duplicates no --folds 3 --group patient", monkeypatch)
    assert all(len(sides) == 1 for sides in sides_of(found, patient).values())
    assert "python train.py -m data=table data.path=labels.csv data.root=photos data.sp" in capsys.readouterr().out
    assert found.names[0] == "cat/p0_01.png"


def test_data_may_be_named_by_overrides(photos, monkeypatch):
    found = split("data=folder data.root=photos --keep-duplicates no --folds 3 --group patient", monkeypatch)
    assert len(found.names) == 24


def test_the_same_command_writes_the_same_bytes(photos, monkeypatch):
    first = [split("photos --folds 3 --repeats 2", monkeypatch), Path("s.json").read_bytes()]
    second = [split("photos --folds 3 --repeats 2 --workers 2", monkeypatch), Path("s.json").read_bytes()]
    assert first[0].digest == second[0].digest
    assert first[1].replace(b"--workers 2 ", b"") == second[1].replace(b"--workers 2 ", b"")


def test_training_reads_the_split(photos, monkeypatch):
    from imgrec.data.splits.split_file import apply_split_file

    split("photos --keep-duplicates no", monkeypatch)
    found = apply_split_file(read_folder(root=str(photos), seed=7), file=Path("s.json"), fold=None)
    assert [len(part) for part in (found.train, found.val, found.test)] == [19, 3, 2]


def test_data_with_splits_are_pooled_with_a_note(photos, monkeypatch, capsys):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (photos / part).mkdir(exist_ok=True)
            source = sorted((photos / name).iterdir())[:6]
            (photos / part / name).mkdir()
            for path in source:
                path.rename(photos / part / name / path.name)
    (photos / "cat").rmdir()
    (photos / "dog").rmdir()
    found = split("photos --keep-duplicates no --folds 3", monkeypatch)
    assert len(found.names) == 24
    assert "The data has splits (train 12, test 12). All images are pooled and split again." in capsys.readouterr().err


# Warnings


def make(labels, groups=(), folds=0, sides=None):
    count = len(labels)
    names = [f"{i:03d}" for i in range(count)]
    sides = np.arange(count)[:, None] % 3 if sides is None else np.array(sides)
    return SplitFile(names, labels, sides.astype(np.uint8), ["a", "b"], 1, folds, groups=groups or [""] * count)


THIRDS = {"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}


def test_a_class_with_fewer_groups_than_parts_is_named():
    labels = np.array([0] * 9 + [1] * 3)
    warnings = split_warnings(make(labels.tolist(), groups=[""] * 9 + ["g"] * 3), labels, fractions=THIRDS)
    assert warnings[0] == "Classes with fewer groups than the 3 splits: b (1)."


def test_a_part_without_a_class_is_named():
    labels = np.array([0, 0, 0, 0, 1, 1])
    warnings = split_warnings(make(labels.tolist()), labels, fractions=THIRDS)
    assert warnings[-1] == "Without images of a class: train (b)."


def test_a_group_larger_than_a_part_is_named():
    labels = np.array([0, 1] * 6)
    warnings = split_warnings(make(labels.tolist(), groups=["big"] * 7 + [""] * 5), labels, fractions=THIRDS)
    assert warnings[-1].startswith("Groups larger than the smallest split (4 images), so that shares deviate: big (7)")


def test_the_report_names_the_largest_group_and_the_furthest_part():
    labels = np.array([0, 1] * 6)
    split = make(labels.tolist(), groups=["g"] * 3 + [""] * 9, sides=[[0]] * 6 + [[1]] * 2 + [[2]] * 4)
    text = describe_split(split, labels, fractions=THIRDS)
    assert "1 groups of two or more, 9 images alone; largest group: g, 3 images (25.0 %)" in text
    assert text.endswith(
        "Largest deviation from the target shares: train, 50.0 % of the images (target 33.3 %); of one class: train, "
        "50.0 % of a."
    )


# Columns


def test_a_file_s_name_will_do_where_only_one_image_has_it(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,site\na.png,x\nb.png,y\n")
    cells = read_column("site", tables=[tmp_path / "t.csv"], names=["/images/1/b.png", "/images/2/a.png"])
    assert cells == ["y", "x"]


def test_a_file_s_name_that_two_images_have_will_not_do(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,site\na.png,x\n")
    with pytest.raises(DataError, match=r"has no value for 2 of 2 images: /1/a.png, /2/a.png"):
        read_column("site", tables=[tmp_path / "t.csv"], names=["/1/a.png", "/2/a.png"])


def test_an_empty_cell_and_an_absent_row_are_errors(tmp_path):
    (tmp_path / "t.csv").write_text("path,site\na.png,x\nb.png,\n")
    with pytest.raises(DataError, match=r"'site' .*t\.csv.* has no value for 2 of 3 images: b\.png, c\.png"):
        read_column("site", tables=[tmp_path / "t.csv"], names=["a.png", "b.png", "c.png"])


def test_numbers_with_gaps_name_the_same_groups_as_without():
    assert group_names([3.0, 3, "3", 2.5]) == ["3", "3", "3", "2.5"]


def test_tables_are_the_target_or_those_in_the_folder_or_in_the_overrides(photos):
    assert find_tables("photos", []) == [Path("photos/metadata.csv")]
    assert find_tables("photos/metadata.csv", []) == [Path("photos/metadata.csv")]
    assert find_tables(None, ["data=table", "data.path='photos/metadata.csv'"]) == [Path("photos/metadata.csv")]
    assert find_tables(None, ["data=folder", "data.root=photos"]) == [Path("photos/metadata.csv")]
    assert find_tables(None, ["data=digits"]) == []


# Refused


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        ("", ConfigError, "Name one folder or table"),
        ("photos other", ConfigError, "Name one folder or table"),
        ("photos --folds 1", ConfigError, "--folds 1: two folds or more"),
        ("photos --folds 3 --test 0.1", ConfigError, "each fold is the test split once. Remove --test"),
        ("photos --folds 3 --time taken", ConfigError, "Choose one of them"),
        ("photos --repeats 2", ConfigError, "Add --folds 5"),
        ("photos --val 0.6 --test 0.5", ConfigError, "their sum below 1"),
        ("photos --folds 2 --val 0.5", ConfigError, "their sum below 1"),
        ("photos --seed -1", ConfigError, "--seed is 0 or more"),
        ("photo", DataError, "Did you mean 'photos'"),
        ("photos --group patent", DataError, "no column 'patent'. Did you mean 'patient'"),
        ("photos --time patient --group-pattern '(.)_'", DataError, "2 different times|images are left|cannot"),
        ("photos --time path", DataError, "'path' is not a time in 24 of 24 rows"),
        ("photos --group-pattern '('", ConfigError, "is not a regular expression"),
        ("photos --group-pattern '^x(.)'", DataError, "finds no group in 24 of 24 names"),
        ("photos --group patient --folds 7", DataError, "6 groups cannot be split into 7 folds"),
    ],
)
def test_what_cannot_be_is_refused(photos, monkeypatch, command, error, message):
    if "--time patient" in command:
        table = photos / "metadata.csv"
        lines = [line.split(",") for line in table.read_text().splitlines()]
        table.write_text("\n".join(f"{path},{'patient' if i == 0 else i % 2},x" for i, (path, *_) in enumerate(lines)))
    with pytest.raises(error, match=message):
        split(f"{command} --keep-duplicates no", monkeypatch)
    assert not Path("s.json").exists()


def test_a_column_without_any_table_is_refused(photos, monkeypatch):
    (photos / "metadata.csv").unlink()
    with pytest.raises(DataError, match=r"put one into the folder \(photos/metadata.csv .*--group-pattern"):
        split("photos --group patient --keep-duplicates no", monkeypatch)


def test_images_without_a_label_are_refused(photos, monkeypatch):
    flat = photos.parent / "flat"
    flat.mkdir()
    (photos / "cat/p0_01.png").rename(flat / "a.png")
    with pytest.raises(DataError, match=r"1 of 1 images have no label: flat/a.png"):
        split("flat --keep-duplicates no", monkeypatch)


# Real data


def test_tracks_of_traffic_signs_stay_whole(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = shlex.quote(str(shared_data / "gtsrb32" / "train"))
    found = split(rf"{target} --group-pattern '(\d+/\d+)_' --folds 2 --val 0 --keep-duplicates no", monkeypatch)
    sides = sides_of(found, lambda name: name.split("_")[0])
    assert len(sides) == 86
    assert all(len(of_track) == 1 for of_track in sides.values())
    labels, test = np.array(found.labels), found.sides[:, 0] == 2
    assert all(np.count_nonzero(test[labels == name]) == 8 for name in found.class_names)


def test_three_origins_cannot_be_five_folds(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = shlex.quote(str(shared_data / "vehicles64"))
    with pytest.raises(DataError, match="3 groups cannot be split into 5 folds"):
        split(f"{target} --group-pattern '^([^_]+)_' --folds 5 --keep-duplicates no", monkeypatch)


def test_the_22_equal_groups_of_brain_scans_never_leak(shared_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    target = shlex.quote(str(shared_data / "brain_mri"))
    found = split(f"{target} --folds 5 --repeats 2 --keep-duplicates exact", monkeypatch)
    assert "47 images are equal images, in 22 groups" in capsys.readouterr().err
    groups = {group for group in found.groups if group}
    assert len(groups) == 22
    leaking = [
        g
        for g in groups
        if len({tuple(s) for s, of in zip(found.sides.tolist(), found.groups, strict=True) if of == g}) > 1
    ]
    assert leaking == []
    assert len(json.loads(Path("s.json").read_text())["samples"]) == 253


def test_without_a_name_the_file_is_splits_json_and_replaces_none(tmp_path, monkeypatch):
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / "photos" / name / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["split", "photos", "--keep-duplicates", "no"])
    main()
    written = (tmp_path / "splits.json").read_bytes()
    with pytest.raises(ConfigError, match=r"splits\.json exists\. Add --output"):
        main()
    assert (tmp_path / "splits.json").read_bytes() == written
