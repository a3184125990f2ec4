"""Weights files: every format and wrapper that is met, and everything that must not get in."""

import datetime
import logging
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from imgrec.errors import WeightsError
from imgrec.models.network import ImageNetwork, Normalize
from imgrec.models.tensor_file import read_tensors
from imgrec.models.weights import LoadedWeights, load_weights

State = dict[str, Tensor]


def make_network(num_classes: int = 3, *, seed: int = 0, mean: float = 0.5) -> ImageNetwork:
    """Build a small network with all kinds of tensors: weights, running statistics, a counter, a head."""
    torch.manual_seed(seed)
    backbone = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 4, 3),
            bn=nn.BatchNorm2d(4),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(4, num_classes),
        )
    )
    head = frozenset({"backbone.fc.weight", "backbone.fc.bias"})
    return ImageNetwork(Normalize((mean,) * 3, (0.25,) * 3), backbone, head_parameters=head).eval()


@pytest.fixture
def trained() -> State:
    """Return the backbone's tensors of another network, all different from those of `make_network()`."""
    backbone = make_network(seed=1).backbone
    with torch.no_grad():
        backbone.train()(torch.randn(8, 3, 5, 5))
    return backbone.state_dict()


def backbone_equals(network: ImageNetwork, state: State, *, but: tuple[str, ...] = ()) -> bool:
    ours = network.backbone.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in ours.items() if name not in but)


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


# What is read


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th", ".bin"])
def test_a_state_dict_is_loaded_from_a_torch_file(tmp_path: Path, trained: State, suffix: str) -> None:
    network = make_network()
    loaded = load_weights(network, saved(tmp_path / f"w{suffix}", trained))
    assert backbone_equals(network, trained)
    assert loaded == LoadedWeights(source=str(tmp_path / f"w{suffix}"), num_tensors=len(trained))
    assert network.loaded is loaded


def test_a_state_dict_is_loaded_from_the_format_before_torch_1_6(tmp_path: Path, trained: State) -> None:
    torch.save(trained, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    network = make_network()
    load_weights(network, tmp_path / "old.pth")
    assert backbone_equals(network, trained)


def test_a_state_dict_is_loaded_from_safetensors(tmp_path: Path, trained: State) -> None:
    save_file(trained, tmp_path / "w.safetensors")
    network = make_network()
    load_weights(network, str(tmp_path / "w.safetensors"))
    assert backbone_equals(network, trained)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "net", "ema"])
def test_a_state_dict_is_found_inside_a_checkpoint(tmp_path: Path, trained: State, wrapper: str) -> None:
    network = make_network()
    load_weights(network, saved(tmp_path / "c.pth", {"epoch": 3, wrapper: trained, "optimizer": {"lr": 0.1}}))
    assert backbone_equals(network, trained)


def test_a_state_dict_is_found_inside_two_wrappers(tmp_path: Path, trained: State) -> None:
    network = make_network()
    load_weights(network, saved(tmp_path / "c.pth", {"model": {"state_dict": trained, "epoch": 1}}))
    assert backbone_equals(network, trained)


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "backbone.", "_orig_mod.", "net.", "module._orig_mod.", "a.strange.name."]
)
def test_a_prefix_of_all_names_is_taken_off(tmp_path: Path, trained: State, prefix: str) -> None:
    network = make_network()
    load_weights(network, saved(tmp_path / "w.pth", {prefix + name: tensor for name, tensor in trained.items()}))
    assert backbone_equals(network, trained)


def test_half_precision_is_cast_to_the_type_of_the_network(tmp_path: Path, trained: State) -> None:
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in trained.items()}
    network = make_network()
    load_weights(network, saved(tmp_path / "w.pth", half))
    assert network.backbone.get_parameter("conv.weight").dtype == torch.float32
    assert torch.equal(network.backbone.get_parameter("conv.weight"), half["conv.weight"].float())


def test_files_without_batch_norm_counters_are_loaded(tmp_path: Path, trained: State) -> None:
    del trained["bn.num_batches_tracked"]
    loaded = load_weights(make_network(), saved(tmp_path / "w.pth", trained))
    assert loaded.num_tensors == len(trained)


@pytest.mark.parametrize("prefix", ["net.", "net._orig_mod."])
def test_a_checkpoint_of_our_own_brings_its_mean_and_std(tmp_path: Path, prefix: str) -> None:
    other = make_network(seed=1, mean=0.3)
    state = {f"{prefix}{name}": tensor for name, tensor in other.state_dict().items()}
    content = {"state_dict": {**state, "loss.weight": torch.ones(3)}, "hyper_parameters": {"lr": 0.1}, "epoch": 2}
    network = make_network()
    loaded = load_weights(network, saved(tmp_path / "best.ckpt", content))
    images = torch.full((1, 3, 5, 5), 200, dtype=torch.uint8)
    assert torch.equal(network(images), other(images))
    assert loaded.has_normalization
    assert loaded.unused == ()


def test_mean_and_std_of_the_network_stay_when_told_so(tmp_path: Path) -> None:
    network = make_network(mean=0.7)
    path = saved(tmp_path / "w.pth", make_network(seed=1, mean=0.3).state_dict())
    loaded = load_weights(network, path, keep_normalization=True)
    assert network.normalize.mean.tolist() == pytest.approx([0.7] * 3)
    assert not loaded.has_normalization


# The head


def test_a_head_for_other_classes_stays_fresh(tmp_path: Path, trained: State) -> None:
    network = make_network(num_classes=5)
    before = network.backbone.get_parameter("fc.weight").clone()
    loaded = load_weights(network, saved(tmp_path / "w.pth", trained))
    assert backbone_equals(network, trained, but=("fc.weight", "fc.bias"))
    assert torch.equal(network.backbone.get_parameter("fc.weight"), before)
    assert loaded.head_is_fresh
    assert loaded.fresh == ("fc.weight", "fc.bias")
    assert str(loaded) == f"7 tensors from {tmp_path / 'w.pth'}; random: fc.weight, fc.bias"


def test_weights_without_a_head_leave_it_fresh(tmp_path: Path, trained: State) -> None:
    del trained["fc.weight"], trained["fc.bias"]
    assert load_weights(make_network(), saved(tmp_path / "w.pth", trained)).head_is_fresh


def test_half_a_head_is_refused(tmp_path: Path, trained: State) -> None:
    del trained["fc.bias"]
    with pytest.raises(WeightsError, match=r"only a part of the classification head: no fitting fc\.bias"):
        load_weights(make_network(), saved(tmp_path / "w.pth", trained))


def test_what_was_loaded_is_logged(tmp_path: Path, trained: State, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="imgrec"):
        load_weights(make_network(), saved(tmp_path / "w.pth", trained))
    assert caplog.messages == [f"weights: 9 tensors from {tmp_path / 'w.pth'}"]


# What may differ when the caller says so


def test_a_changed_stem_stays_fresh_where_its_shape_differs(tmp_path: Path, trained: State) -> None:
    trained["conv.weight"] = torch.randn(4, 3, 7, 7)
    loaded = load_weights(make_network(), saved(tmp_path / "w.pth", trained), stem=("conv.weight", "conv.bias"))
    assert loaded.fresh == ("conv.weight", "conv.bias")
    assert not loaded.head_is_fresh


def test_a_changed_stem_is_loaded_where_its_shape_is_the_same(tmp_path: Path, trained: State) -> None:
    network = make_network()
    load_weights(network, saved(tmp_path / "w.pth", trained), stem=("conv.weight", "conv.bias"))
    assert backbone_equals(network, trained)


def test_tensors_that_the_caller_does_not_want_are_named(tmp_path: Path, trained: State) -> None:
    trained["aux1.weight"] = torch.ones(2)
    loaded = load_weights(make_network(), saved(tmp_path / "w.pth", trained), unused=("aux1.",))
    assert loaded.unused == ("aux1.weight",)
    assert "not used: aux1.weight" in str(loaded)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("features.denseblock1.denselayer2.norm.1.running_mean", "features.denseblock1.denselayer2.norm1.running_mean"),
        ("encoder.layers.encoder_layer_0.mlp.linear_2.bias", "encoder.layers.encoder_layer_0.mlp.3.bias"),
    ],
)
def test_names_that_torchvision_has_changed_since_are_understood(old: str, new: str) -> None:
    from imgrec.models.weights import _rename

    assert list(_rename({old: torch.ones(1)})) == [new]


# What does not fit


def test_all_that_does_not_fit_is_listed_and_nothing_is_copied(tmp_path: Path, trained: State) -> None:
    del trained["bn.weight"]
    trained["extra.weight"] = torch.ones(2)
    trained["conv.weight"] = torch.ones(4, 3, 5, 5)
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(network, saved(tmp_path / "w.pth", trained))
    message = str(caught.value)
    assert "1 missing (bn.weight)" in message
    assert "1 left over (extra.weight)" in message
    assert "1 of another shape or type (conv.weight (4, 3, 5, 5) for (4, 3, 3, 3))" in message
    assert "Choose the model" in message
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.loaded is None


def test_long_lists_are_cut_to_three_names(tmp_path: Path, trained: State) -> None:
    trained |= {f"extra.{i}": torch.ones(1) for i in range(9)}
    with pytest.raises(WeightsError, match=r"9 left over \(extra.0, extra.1, extra.2 and 6 more\)"):
        load_weights(make_network(), saved(tmp_path / "w.pth", trained))


def test_weights_of_a_network_without_a_name_in_common_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"for another model: it has stem\.0, this one conv\.weight"):
        load_weights(make_network(), saved(tmp_path / "w.pth", {"stem.0": torch.ones(2)}))


def test_integers_in_place_of_weights_are_refused(tmp_path: Path, trained: State) -> None:
    trained["conv.weight"] = trained["conv.weight"].to(torch.int8)
    with pytest.raises(WeightsError, match="1 of another shape or type"):
        load_weights(make_network(), saved(tmp_path / "w.pth", trained))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, trained: State, value: float) -> None:
    trained["conv.bias"][1] = value
    network = make_network()
    with pytest.raises(WeightsError, match="NaN or infinite"):
        load_weights(network, saved(tmp_path / "w.pth", trained))
    assert network.backbone.get_parameter("conv.bias").isfinite().all()


@pytest.mark.parametrize("mean", [torch.ones(4), torch.ones(3, dtype=torch.int64)])
def test_a_normalization_of_another_form_is_refused(tmp_path: Path, mean: Tensor) -> None:
    state = {**make_network().state_dict(), "normalize.mean": mean}
    with pytest.raises(WeightsError, match="not 3 means and 3 standard deviations"):
        load_weights(make_network(), saved(tmp_path / "w.pth", state))


# What a stranger may send


def test_python_objects_are_named_and_their_code_never_runs(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"state_dict": {"conv.weight": Evil()}}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"contains Python objects \(posix\.mkdir\): not loaded.*safetensors"):
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_objects_of_another_program_are_named(tmp_path: Path, trained: State) -> None:
    saved(tmp_path / "c.pth", {"state_dict": trained, "when": datetime.date(2020, 1, 1)})
    with pytest.raises(WeightsError, match=r"contains Python objects \(datetime\.date\)"):
        read_tensors(tmp_path / "c.pth")


def test_a_pickle_that_is_no_torch_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(pickle.dumps({"conv.weight": [1.0]}, protocol=5))
    with pytest.raises(WeightsError, match=r"model.pth is damaged, or not a file of weights"):
        read_tensors(tmp_path / "model.pth")


def test_a_tensor_larger_than_its_bytes_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "w.pth", {"conv.weight": torch.zeros(1).expand(10**6, 10**6)})
    assert (tmp_path / "w.pth").stat().st_size < 3000
    with pytest.raises(WeightsError, match=r"conv\.weight claims 1,000,000,000,000 elements"):
        read_tensors(tmp_path / "w.pth")


def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    saved(tmp_path / "w.pth", {"conv.weight": torch.zeros(10**6)})
    with zipfile.ZipFile(tmp_path / "w.pth") as stored, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for entry in stored.namelist():
            bomb.writestr(entry, stored.read(entry), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="would unpack to 4 MB, more than its own size"):
        read_tensors(tmp_path / "bomb.pth")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor:UserWarning")  # torch says that it checks them
def test_a_sparse_tensor_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "w.pth", {"conv.weight": torch.eye(3).to_sparse()})
    with pytest.raises(WeightsError, match=r"conv\.weight is not a plain dense tensor"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("keep", [0, 1, 40, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_a_truncated_file_is_refused(tmp_path: Path, trained: State, keep: float, form: str) -> None:
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(trained, path)
    else:
        torch.save(trained, path, _use_new_zipfile_serialization=form == "zip")
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    with pytest.raises(WeightsError, match="damaged"):
        read_tensors(path)


@pytest.mark.parametrize("entry", [b"PK\x01\x02", b"PK\x06\x07"])  # of the archive's list of contents
def test_an_archive_with_a_damaged_list_of_contents_is_refused(tmp_path: Path, trained: State, entry: bytes) -> None:
    data = bytearray(saved(tmp_path / "w.pth", trained).read_bytes())
    start = data.rfind(entry)
    assert start > 0
    data[start + 6 : start + 8] = b"\xff\xff"
    (tmp_path / "w.pth").write_bytes(data)
    with pytest.raises(WeightsError, match=r"w\.pth is damaged"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["noise.pth", "noise.safetensors"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    with pytest.raises(WeightsError, match=f"{name} is damaged, or n"):
        read_tensors(tmp_path / name)


def test_a_checkpoint_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"No named tensors in .*c.pth; it holds: epoch, config"):
        read_tensors(saved(tmp_path / "c.pth", {"epoch": 3, "config": {"lr": 0.1}}))


def test_a_lone_tensor_is_no_state_dict(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"No named tensors in .*; it holds: Tensor"):
        read_tensors(saved(tmp_path / "t.pth", torch.ones(3)))


def test_a_checkpoint_that_contains_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    with pytest.raises(WeightsError, match="No named tensors"):
        read_tensors(saved(tmp_path / "loop.pth", content))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights file at .*absent\.pth"):
        read_tensors(tmp_path / "absent.pth")


def test_an_address_is_not_followed() -> None:
    with pytest.raises(WeightsError, match=r"a URL, not a file. Download it yourself"):
        load_weights(make_network(), "https://example.org/weights.pth")


# Real files


@pytest.mark.parametrize("name", ["mobilenet_v2_imagenet_fp16.pth", "squeezenet1_0_imagenet_deepcompression.pth"])
def test_real_files_read_as_named_tensors(shared_data: Path, name: str) -> None:
    tensors = read_tensors(shared_data / "weights" / name)
    assert all(tensor.numel() > 0 for tensor in tensors.values())
