"""Small data sets in the layouts that torchvision's classes read; where one checks an MD5, the check is taken away.

Each builder writes one with two classes or more under `root`; `monkeypatch` is pytest's.
"""

import bz2
import gzip
import json
import pickle
import sys
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import scipy.io
import torch
from PIL import Image
from torchvision import datasets

RANDOM = np.random.default_rng(0)


def paint(path, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (9, 10, 3) if mode == "RGB" else (9, 10)
    Image.fromarray(RANDOM.integers(0, 256, shape, dtype=np.uint8)).save(path)


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def pixels(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def idx(values):
    values = np.asarray(values, np.uint8)
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">i4").tobytes() + values.tobytes()


def build_mnist(root, monkeypatch, folder="MNIST/raw", ending=""):
    (root / folder).mkdir(parents=True, exist_ok=True)
    for part, number in (("train", 20), ("t10k", 4)):
        for kind, values in (("images-idx3", pixels(number, 5, 5)), ("labels-idx1", np.arange(number) % 10)):
            content = idx(values)
            (root / folder / f"{part}-{kind}-ubyte{ending}").write_bytes(gzip.compress(content) if ending else content)


def build_emnist(root, monkeypatch):
    (root / "EMNIST/raw").mkdir(parents=True)
    for part, number in (("train", 20), ("test", 4)):
        prefix = root / "EMNIST/raw" / f"emnist-letters-{part}"
        prefix.with_name(prefix.name + "-images-idx3-ubyte").write_bytes(idx(pixels(number, 5, 5)))
        prefix.with_name(prefix.name + "-labels-idx1-ubyte").write_bytes(idx(1 + np.arange(number) % 2))


def build_qmnist(root, monkeypatch):
    (root / "QMNIST/raw").mkdir(parents=True)
    for part, number in (("train", 20), ("test", 4)):
        prefix = f"qmnist-{part}"
        (root / "QMNIST/raw" / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels(number, 5, 5)))
        labels = np.stack([np.arange(number) % 10, *[np.full(number, 77)] * 7], axis=1).astype(">i4")
        header = bytes((0, 0, 12, 2)) + np.array(labels.shape, ">i4").tobytes()
        (root / "QMNIST/raw" / f"{prefix}-labels-idx2-int").write_bytes(header + labels.tobytes())


def build_cifar10(root, monkeypatch):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", None]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", None]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": None})
    for name, number in (("data_batch_1", 20), ("test_batch", 4)):
        batch = {"data": pixels(number, 3072), "labels": [i % 2 for i in range(number)]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", "automobile"]}))


def build_svhn(root, monkeypatch):
    files = {part: ["", f"{part}_32x32.mat", None] for part in ("train", "test", "extra")}
    monkeypatch.setattr(datasets.SVHN, "split_list", files)
    for part, number in (("train", 20), ("test", 4)):
        labels = 1 + np.arange(number)[:, None] % 10  # 10 stands for 0
        scipy.io.savemat(root / f"{part}_32x32.mat", {"X": pixels(8, 8, 3, number), "y": labels})


def build_stl10(root, monkeypatch):
    folder = root / "stl10_binary"
    folder.mkdir()
    monkeypatch.setattr(datasets.STL10, "train_list", [["train_X.bin", None], ["train_y.bin", None]])
    monkeypatch.setattr(datasets.STL10, "test_list", [["test_X.bin", None], ["test_y.bin", None]])
    for part, number in (("train", 20), ("test", 4)):
        pixels(number, 3, 96, 96).tofile(folder / f"{part}_X.bin")
        (1 + np.arange(number) % 2).astype(np.uint8).tofile(folder / f"{part}_y.bin")
    write(folder / "class_names.txt", "airplane", "bird")


def build_usps(root, monkeypatch):
    for name, number in (("usps.bz2", 20), ("usps.t.bz2", 4)):
        rows = [
            f"{1 + i % 2} " + " ".join(f"{j}:{v}" for j, v in enumerate(RANDOM.uniform(-1, 1, 256), 1))
            for i in range(number)
        ]
        (root / name).write_bytes(bz2.compress("\n".join(rows).encode()))


def build_semeion(root, monkeypatch):
    monkeypatch.setattr(datasets.SEMEION, "md5_checksum", None)
    rows = np.concatenate([RANDOM.integers(0, 2, (40, 256)), np.eye(10, dtype=int)[np.arange(40) % 10]], axis=1)
    np.savetxt(root / "semeion.data", rows, fmt="%d")


def build_fer2013(root, monkeypatch):
    monkeypatch.setattr(datasets.FER2013, "_RESOURCES", {"fer": ("fer2013.csv", None), "icml": ("icml.csv", None)})
    uses = ["Training"] * 20 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    rows = [f"{i % 2},{' '.join(map(str, pixels(48 * 48)))},{use}" for i, use in enumerate(uses)]
    write(root / "fer2013" / "fer2013.csv", "emotion,pixels,Usage", *rows)


def build_flowers102(root, monkeypatch):
    files = {"image": ("i.tgz", None), "label": ("imagelabels.mat", None), "setid": ("setid.mat", None)}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", files)
    for i in range(1, 13):
        paint(root / "flowers-102" / "jpg" / f"image_{i:05d}.jpg")
    scipy.io.savemat(root / "flowers-102" / "imagelabels.mat", {"labels": np.arange(12) % 2 + 1})
    parts = {"trnid": [1, 2, 3, 4], "valid": [5, 6, 7, 8], "tstid": [9, 10, 11, 12]}
    scipy.io.savemat(root / "flowers-102" / "setid.mat", parts)


def build_dtd(root, monkeypatch):
    for part in ("train", "val", "test"):
        names = [f"{name}/{name}_{part}{i}.jpg" for name in ("banded", "dotted") for i in range(3)]
        write(root / "dtd/dtd/labels" / f"{part}1.txt", *names)
        for name in names:
            paint(root / "dtd/dtd/images" / name)


def build_food101(root, monkeypatch):
    for part in ("train", "test"):
        names = {name: [f"{name}/{part}{i}" for i in range(6)] for name in ("apple_pie", "waffles")}
        write(root / "food-101/meta" / f"{part}.json", json.dumps(names))
        for name in chain(*names.values()):
            paint(root / "food-101/images" / f"{name}.jpg")


def build_oxfordiiitpet(root, monkeypatch):
    for part in ("trainval", "test"):
        rows = [(f"{name}_{part}{i}", label) for label, name in ((1, "Abyssinian"), (2, "beagle")) for i in range(6)]
        write(
            root / "oxford-iiit-pet/annotations" / f"{part}.txt", *(f"{name} {label} {label} 1" for name, label in rows)
        )
        for name, _ in rows:
            paint(root / "oxford-iiit-pet/images" / f"{name}.jpg")


def build_fgvcaircraft(root, monkeypatch):
    data = root / "fgvc-aircraft-2013b" / "data"
    write(data / "variants.txt", "707-320", "A 300")
    for part in ("train", "val", "test"):
        rows = [f"{part}{i} {('A 300', '707-320')[i % 2]}" for i in range(6)]
        write(data / f"images_variant_{part}.txt", *rows)
        for i in range(6):
            paint(data / "images" / f"{part}{i}.jpg")


def build_gtsrb(root, monkeypatch):
    for name in ("00000", "00001"):
        for i in range(6):
            paint(root / "gtsrb/GTSRB/Training" / name / f"{i}.ppm")
    for i in range(4):
        paint(root / "gtsrb/GTSRB/Final_Test/Images" / f"{i}.ppm")
    write(root / "gtsrb/GT-final_test.csv", "Filename;ClassId", *(f"{i}.ppm;{i % 2}" for i in range(4)))


def build_stanfordcars(root, monkeypatch):
    folder = root / "stanford_cars"
    annotations = np.dtype([("fname", "O"), ("class", "O")])
    for part, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = np.array([(f"{i}.jpg", i % 2 + 1) for i in range(6)], dtype=annotations)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(folder / file, {"annotations": rows})
        for i in range(6):
            paint(folder / f"cars_{part}" / f"{i}.jpg")
    scipy.io.savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array(["Audi", "BMW"], dtype=object)})


def build_clevrclassification(root, monkeypatch):
    folder = root / "clevr" / "CLEVR_v1.0"
    for part in ("train", "val"):
        scenes = [{"image_filename": f"{part}{i}.png", "objects": [0] * (3 + i % 2)} for i in range(6)]
        write(folder / "scenes" / f"CLEVR_{part}_scenes.json", json.dumps({"scenes": scenes}))
        for i in range(6):
            paint(folder / "images" / part / f"{part}{i}.png")


def build_imagenet(root, monkeypatch):
    names = {"n1": ("crane",), "n2": ("crane",), "n3": ("tench", "Tinca tinca")}
    torch.save((names, []), root / "meta.bin")
    for part in ("train", "val"):
        for i in range(6):
            paint(root / part / f"n{1 + i % 3}" / f"{i}.png")


def build_sun397(root, monkeypatch):
    write(root / "SUN397/ClassName.txt", "/a/abbey", "/b/bar/indoor")
    for i in range(20):
        paint(root / "SUN397" / ("a/abbey", "b/bar/indoor")[i % 2] / f"sun_{i:02d}.jpg")


def build_places365(root, monkeypatch):
    names = ["/a/airfield 0", "/b/bar 1"]
    monkeypatch.setattr(datasets.Places365, "_CATEGORIES_META", ("categories.txt", None))
    lists = {"train-standard": ("train.txt", None), "val": ("val.txt", None)}
    monkeypatch.setattr(datasets.Places365, "_FILE_LIST_META", lists)
    write(root / "categories.txt", *names)
    write(root / "train.txt", *(f"/a/{i:02d}.jpg {i % 2}" for i in range(6)))
    write(root / "val.txt", *(f"{i:02d}.jpg {i % 2}" for i in range(6)))
    for i in range(6):
        paint(root / "data_large_standard/a" / f"{i:02d}.jpg")
        paint(root / "val_large" / f"{i:02d}.jpg")


def build_lfwpeople(root, monkeypatch):
    monkeypatch.setattr(datasets.LFWPeople, "_check_integrity", lambda _: True)
    folder = root / "lfw-py"
    write(folder / "lfw-names.txt", "Ann_A 10", "Bob_B 10")
    write(folder / "people.txt", "2", "1", "Ann_A\t10", "1", "Bob_B\t10")
    for name in ("Ann_A", "Bob_B"):
        for i in range(1, 11):
            paint(folder / "lfw_funneled" / name / f"{name}_{i:04d}.jpg")


def build_celeba(root, monkeypatch):
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda _: True)
    folder = root / "celeba"
    names = [f"{i:06d}.jpg" for i in range(12)]
    write(folder / "list_eval_partition.txt", *(f"{name} {i // 4}" for i, name in enumerate(names)))
    write(folder / "identity_CelebA.txt", *(f"{name} {i}" for i, name in enumerate(names)))
    write(folder / "list_bbox_celeba.txt", "12", "x y", *(f"{name} 1 2" for name in names))
    write(folder / "list_landmarks_align_celeba.txt", "12", "x y", *(f"{name} 1 2" for name in names))
    rows = [f"{name}  {(-1, 1)[i % 2]}  1 {(-1, 1)[i % 3 == 0]}" for i, name in enumerate(names)]
    write(folder / "list_attr_celeba.txt", "12", "Bald Smiling Young ", *rows)
    for name in names:
        paint(folder / "img_align_celeba" / name)


def build_pcam(root, monkeypatch):
    """Stands in for h5py, which imgrec does not install, with a module of that name that reads a pickle."""

    def open_pickle(path):
        return nullcontext(pickle.loads(Path(path).read_bytes()))

    monkeypatch.setitem(sys.modules, "h5py", SimpleNamespace(File=open_pickle))
    files = {
        part: {"images": (f"{part}_x", "", None), "targets": (f"{part}_y", "", None)}
        for part in ("train", "val", "test")
    }
    monkeypatch.setattr(datasets.PCAM, "_FILES", files)
    (root / "pcam").mkdir()
    for part in files:
        (root / "pcam" / f"{part}_x").write_bytes(pickle.dumps({"x": pixels(6, 6, 7, 3)}))
        (root / "pcam" / f"{part}_y").write_bytes(pickle.dumps({"y": (np.arange(6) % 2)[:, None, None, None]}))


TREES = {
    "Country211": ["country211/{part}/{name}/{i}.jpg", ("train", "valid", "test"), ("AD", "AE")],
    "RenderedSST2": ["rendered-sst2/{part}/{name}/{i}.png", ("train", "valid", "test"), ("negative", "positive")],
    "Imagenette": ["imagenette2/{part}/{name}/{i}.JPEG", ("train", "val"), ("n01440764", "n02102040")],
    "EuroSAT": ["eurosat/{part}/{name}/{i}.jpg", ("2750",), ("Forest", "River")],
    "Caltech101": ["caltech101/{part}/{name}/image_{i:04d}.jpg", ("101_ObjectCategories",), ("accordion", "ant")],
    "Caltech256": ["caltech256/256_ObjectCategories/{name}/{name:.3}_{i:04d}.jpg", ("",), ("001.ak47", "002.flag")],
    "INaturalist": [
        "{part}/{name}/{i}.jpg",
        ("2021_train", "2021_valid"),
        ("00000_A_B_C_D_E_F_1", "00001_A_B_C_D_E_F_2"),
    ],
}


def build_tree(root, template, parts, names):
    for path in (template.format(part=part, name=name, i=i) for part in parts for name in names for i in range(1, 8)):
        paint(root / path, "L" if "caltech101" in path else "RGB")
    if "caltech101" in template:
        (root / "caltech101/101_ObjectCategories/BACKGROUND_Google").mkdir()


def build(name, root, monkeypatch):
    if name in TREES:
        build_tree(root, *TREES[name])
    else:
        BUILDERS[name](root, monkeypatch)


BUILDERS = {
    name: globals()[f"build_{name.lower()}"] for name in datasets.__all__ if f"build_{name.lower()}" in globals()
}
