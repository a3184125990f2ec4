"""torchvision's classifiers: every name, the head found by shape, stems, freezing, published and own weights."""

import copy
import email.message
import io
import socket
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms.v2 import functional as transforms

import imgrec.models
from imgrec.errors import ConfigError, WeightsError
from imgrec.models import backbone as backbone_file
from imgrec.models import check_image_size, make_backbone
from imgrec.models.backbone import CLASSIFIERS, _normalization
from imgrec.models.network import IMAGENET_MEAN, IMAGENET_STD, ImageNetwork

CONF = Path(__file__).resolve().parents[2] / "conf"


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


# One of each family: the smallest, its head as torchvision names it, a small size of image it takes [px].
FAMILIES = [
    ("googlenet", "fc", 32),
    ("mnasnet0_5", "classifier.1", 32),
    ("mobilenet_v2", "classifier.1", 32),
    ("mobilenet_v3_small", "classifier.3", 32),
    ("regnet_x_400mf", "fc", 32),
    ("resnet18", "fc", 32),
    ("shufflenet_v2_x0_5", "fc", 32),
    ("squeezenet1_1", "classifier.1", 32),
    slow("alexnet", "classifier.6", 64),
    slow("convnext_tiny", "classifier.2", 32),
    slow("densenet121", "classifier", 32),
    slow("efficientnet_b0", "classifier.1", 32),
    slow("inception_v3", "fc", 75),
    slow("resnext50_32x4d", "fc", 32),
    slow("swin_t", "head", 32),
    slow("vgg11", "classifier.6", 32),
    slow("wide_resnet50_2", "fc", 32),
]
WITH_STEM = [
    "resnet18",
    "googlenet",
    "mnasnet0_5",
    "mobilenet_v2",
    "regnet_x_400mf",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
]
WITH_STEM_LARGE = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "inception_v3",
    "resnext50_32x4d",
    "swin_t",
    "wide_resnet50_2",
]


def pixels(size: int, *, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def torchvision_logits(
    network: nn.Module, images: Tensor, mean: Any = IMAGENET_MEAN, std: Any = IMAGENET_STD
) -> Tensor:
    """Run a plain torchvision network on images that torchvision normalised."""
    images = transforms.normalize(transforms.to_dtype(images, torch.float32, scale=True), list(mean), list(std))
    with torch.inference_mode():
        logits: Tensor = network.eval()(images)
    return logits


def logits_of(network: ImageNetwork, images: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = network.eval()(images)
    return logits


def assert_same_logits(logits: Tensor, reference: Tensor) -> None:
    """Equal to 1e-5 of the largest: the two ways of normalising round differently, and 50 layers multiply that."""
    torch.testing.assert_close(logits, reference, rtol=1e-5, atol=1e-5 * reference.abs().max().item())


def publish(monkeypatch: pytest.MonkeyPatch, state: Mapping[str, Tensor]) -> None:
    """Let torchvision's download answer with `state`."""
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda _entry, **_: dict(state))


# Names and heads


def test_all_80_classifiers_of_torchvision_are_known() -> None:
    assert list(CLASSIFIERS) == models.list_models(module=models)
    assert len(CLASSIFIERS) == 80


@pytest.mark.parametrize(("name", "head", "size"), FAMILIES)
def test_the_head_is_found_and_gives_one_logit_per_class(name: str, head: str, size: int) -> None:
    network = make_backbone(name, num_classes=7)
    assert network.head_parameters == {f"backbone.{head}.weight", f"backbone.{head}.bias"}
    assert logits_of(network, pixels(size)).shape == (2, 7)


def test_the_head_of_maxvit_has_no_bias() -> None:
    assert make_backbone("maxvit_t", num_classes=2).head_parameters == {"backbone.classifier.5.weight"}


def test_the_head_is_found_where_the_backbone_has_as_many_channels_as_there_are_classes() -> None:
    network = make_backbone("squeezenet1_1", num_classes=512)
    assert network.head_parameters == {"backbone.classifier.1.weight", "backbone.classifier.1.bias"}


def test_finding_the_head_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    reference = models.get_model("vit_b_32", num_classes=3)
    expected = torch.rand(1)
    torch.manual_seed(0)
    network = make_backbone("vit_b_32", num_classes=3)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(network.backbone.parameters(), reference.parameters(), strict=True))


def test_finding_the_head_leaves_later_networks_alone() -> None:
    make_backbone("squeezenet1_1", num_classes=3)
    assert nn.Linear(2, 2).weight.device.type == "cpu"


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_inception_has_one_output_in_training_too(name: str) -> None:
    assert make_backbone(name, num_classes=3).train()(pixels(75)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt50", r"no classifier 'resnt50'. Did you mean .*'resnet50'"),
        ("ResNet50", r"Did you mean 'resnet50'\?"),
        ("nothing_like_it", r"no classifier 'nothing_like_it'. See torchvision.models.list_models"),
        ("quantized_resnet50", r"is for quantization, not one of .*80 classifiers. Did you mean 'resnet50'"),
        ("fasterrcnn_resnet50_fpn", r"is for detection.* Did you mean 'resnet50'"),
        ("deeplabv3_mobilenet_v3_large", r"is for segmentation.* Did you mean 'mobilenet_v3_large'"),
        ("r3d_18", "is for video"),
        ("raft_large", "is for optical flow"),
    ],
)
def test_a_name_that_is_no_classifier_is_refused_with_near_ones(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_backbone(name, num_classes=2)


@pytest.mark.parametrize("num_classes", [0, -1, "ten", 2.0])
def test_a_number_of_classes_that_is_none_is_refused(num_classes: Any) -> None:
    with pytest.raises(ConfigError, match=r"model.num_classes=.*, but it must be a whole number, 1 or more"):
        make_backbone("resnet18", num_classes=num_classes)


# Options of torchvision


def test_dropout_reaches_the_layers_of_the_architecture() -> None:
    network = make_backbone("mobilenet_v3_small", num_classes=2, dropout=0.7)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.7]


def test_dropout_0_is_not_taken_for_none() -> None:
    network = make_backbone("mobilenet_v3_small", num_classes=2, dropout=0.0)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.0]


def test_an_option_of_none_is_left_to_torchvision() -> None:
    network = make_backbone("vit_b_32", num_classes=2, image_size=None)
    assert network.backbone.image_size == 224


def test_a_vit_is_built_for_the_size_that_is_asked_for() -> None:
    network = make_backbone("vit_b_32", num_classes=2, image_size=64)
    assert logits_of(network, pixels(64)).shape == (2, 2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"dropout": 0.1}, r"resnet18 has no option model.dropout. Remove it, or set it to null"),
        ("mobilenet_v2", {"widthmult": 2}, r"no option model.widthmult. Did you mean 'width_mult'"),
        ("vit_b_16", {"patch_size": 4}, r"model.patch_size is fixed for vit_b_16"),
        ("googlenet", {"aux_logits": True}, r"model.aux_logits is fixed for googlenet"),
        ("vit_b_16", {"image_size": 33}, r"cannot be built with model.image_size=33: .*patch size"),
    ],
)
def test_an_option_that_torchvision_refuses_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_backbone(name, num_classes=2, **options)


# Stems


@pytest.mark.parametrize("name", [*WITH_STEM, *map(slow, WITH_STEM_LARGE)])
def test_a_small_stem_lets_32_px_images_through(name: str) -> None:
    network = make_backbone(name, num_classes=3, stem="small")
    check_image_size(network, height=32, width=32)
    assert logits_of(network, pixels(32)).shape == (2, 3)


def test_the_small_stem_of_a_resnet_keeps_the_size_of_the_image() -> None:
    network = make_backbone("resnet18", num_classes=3, stem="small")
    sizes: list[torch.Size] = []
    network.backbone.get_submodule("layer1").register_forward_pre_hook(lambda _m, inputs: sizes.append(inputs[0].shape))
    logits_of(network, pixels(32))
    conv = network.backbone.get_submodule("conv1")
    assert isinstance(conv, nn.Conv2d)
    assert (conv.kernel_size, conv.stride, conv.padding, conv.bias) == ((3, 3), (1, 1), (1, 1), None)
    assert sizes == [torch.Size((2, 64, 32, 32))]


def test_the_small_stem_of_convnext_has_patches_half_as_wide() -> None:
    conv = make_backbone("convnext_tiny", num_classes=3, stem="small").backbone.get_submodule("features.0.0")
    assert isinstance(conv, nn.Conv2d)
    assert (conv.kernel_size, conv.stride) == ((2, 2), (2, 2))


@pytest.mark.parametrize("name", ["vgg11", "vit_b_32", "maxvit_t"])
def test_a_family_without_a_stem_to_change_says_which_have_one(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} has no stem to change.*alexnet, convnext.*resnet"):
        make_backbone(name, num_classes=2, stem="small")


def test_the_families_named_in_the_message_are_those_that_have_a_stem() -> None:
    from imgrec.models.stem import FAMILIES as NAMED

    named = NAMED.split(", ")
    assert {family for family in named if any(name.startswith(family) for name in WITH_STEM + WITH_STEM_LARGE)} == set(
        named
    )
    assert all(name.startswith(tuple(named)) for name in WITH_STEM + WITH_STEM_LARGE)


def test_another_stem_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.stem='tiny': use standard, or small "):
        make_backbone("resnet18", num_classes=2, stem="tiny")


def test_a_stem_of_another_shape_starts_fresh_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(models.get_model("squeezenet1_0").state_dict(), tmp_path / "w.pth")
    network = make_backbone("squeezenet1_0", num_classes=3, stem="small", weights=tmp_path / "w.pth")
    assert network.loaded is not None
    assert network.loaded.fresh == ("features.0.weight", "features.0.bias", "classifier.1.weight", "classifier.1.bias")
    assert "features.0.bias, features.0.weight start from random values" in caplog.text


def test_a_stem_that_only_changes_its_stride_is_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = models.get_model("mobilenet_v3_small", num_classes=3).state_dict()
    torch.save(state, tmp_path / "w.pth")
    network = make_backbone("mobilenet_v3_small", num_classes=3, stem="small", weights=tmp_path / "w.pth")
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.backbone.state_dict().items())
    assert caplog.text == ""


def test_weights_of_a_small_stem_load_into_a_small_stem(tmp_path: Path) -> None:
    trained = make_backbone("squeezenet1_0", num_classes=3, stem="small")
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    network = make_backbone("squeezenet1_0", num_classes=3, stem="small", weights=tmp_path / "w.pth")
    assert torch.equal(logits_of(network, pixels(32)), logits_of(trained, pixels(32)))


# Freezing


def test_a_linear_probe_trains_the_head_alone() -> None:
    network = make_backbone("resnet18", num_classes=2, freeze="backbone").train()
    before = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    nn.functional.cross_entropy(network(pixels(32)), torch.tensor([0, 1])).backward()
    optimizer.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"backbone.fc.weight", "backbone.fc.bias"}


def test_freezing_a_stem_of_random_values_is_refused(tmp_path: Path) -> None:
    torch.save(models.get_model("squeezenet1_0").state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        ConfigError, match=r"replaces features.0.bias, features.0.weight, whose random values model.freeze=backbone"
    ):
        make_backbone("squeezenet1_0", num_classes=2, stem="small", freeze="backbone", weights=tmp_path / "w.pth")


def test_a_small_stem_that_was_trained_may_be_frozen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(make_backbone("squeezenet1_0", num_classes=3, stem="small").state_dict(), tmp_path / "w.pth")
    weights = tmp_path / "w.pth"
    network = make_backbone("squeezenet1_0", num_classes=2, stem="small", freeze="backbone", weights=weights)
    assert network.loaded is not None
    assert network.loaded.fresh == ("classifier.1.weight", "classifier.1.bias")
    assert caplog.text == ""


# Weights


def test_logits_equal_those_of_torchvision_on_real_weights(shared_data: Path) -> None:
    weights = shared_data / "weights" / "mobilenet_v2_imagenet_fp16.pth"
    network = make_backbone("mobilenet_v2", num_classes=1000, weights=weights)
    reference = models.mobilenet_v2()
    reference.load_state_dict(torch.load(weights, weights_only=True))
    files = sorted((shared_data / "hymenoptera" / "val" / "ants").glob("*.jpg"))[:4]
    originals = [np.asarray(Image.open(file).convert("RGB").resize((128, 128))) for file in files]
    images = torch.from_numpy(np.stack(originals)).permute(0, 3, 1, 2)
    assert network.loaded is not None
    assert not network.loaded.head_is_fresh
    assert_same_logits(logits_of(network, images), torchvision_logits(reference, images))


def test_published_weights_come_from_the_cache_of_torch_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    reference = models.get_model("squeezenet1_1")
    cached = tmp_path / "hub" / "checkpoints" / Path(models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url).name
    cached.parent.mkdir(parents=True)
    torch.save(reference.state_dict(), cached)
    network = make_backbone("squeezenet1_1", num_classes=1000, weights="DEFAULT")
    assert network.loaded is not None
    assert network.loaded.source == "SqueezeNet1_1_Weights.IMAGENET1K_V1"
    images = pixels(64)
    assert_same_logits(logits_of(network, images), torchvision_logits(reference, images))


@pytest.mark.parametrize("weights", ["DEFAULT", "IMAGENET1K_V1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"])
def test_published_weights_go_by_three_names(monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    publish(monkeypatch, models.get_model("squeezenet1_1").state_dict())
    network = make_backbone("squeezenet1_1", num_classes=3, weights=weights)
    assert network.loaded is not None
    assert network.loaded.source == "SqueezeNet1_1_Weights.IMAGENET1K_V1"
    assert network.loaded.fresh == ("classifier.1.weight", "classifier.1.bias")


def test_googlenet_sees_what_torchvision_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision's network normalises a second time inside (`transform_input`); ours does it once, to the same."""
    reference = models.GoogLeNet(aux_logits=True, transform_input=True, init_weights=True)
    publish(monkeypatch, reference.state_dict())
    network = make_backbone("googlenet", num_classes=1000, weights="DEFAULT")
    images = pixels(64)
    assert_same_logits(logits_of(network, images), torchvision_logits(reference, images))
    assert network.loaded is not None
    assert {name.split(".")[0] for name in network.loaded.unused} == {"aux1", "aux2"}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_mean_and_std_are_those_of_the_weights(name: str) -> None:
    for entry in models.get_model_weights(name):
        expected = ([0.5] * 3, [0.5] * 3) if name in ("googlenet", "inception_v3") else None
        mean, std = _normalization(name, entry)
        assert (list(mean), list(std)) == (expected or (entry.transforms().mean, entry.transforms().std))


@pytest.mark.parametrize(
    ("name", "mean"), [("resnet18", IMAGENET_MEAN), ("efficientnet_v2_l", (0.5,) * 3), ("inception_v3", (0.5,) * 3)]
)
def test_mean_without_published_weights_is_that_of_the_architecture(name: str, mean: tuple[float, ...]) -> None:
    assert tuple(_normalization(name, None)[0]) == mean


def test_mean_and_std_given_are_taken() -> None:
    network = make_backbone("squeezenet1_1", num_classes=2, mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])
    assert network.normalize.mean.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert network.normalize.std.tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_mean_given_outranks_that_of_a_file(tmp_path: Path) -> None:
    torch.save(make_backbone("squeezenet1_1", num_classes=2).state_dict(), tmp_path / "w.pth")
    weights = tmp_path / "w.pth"
    network = make_backbone("squeezenet1_1", num_classes=2, weights=weights, mean=[0.1, 0.2, 0.3])
    assert network.normalize.mean.tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_vit_takes_the_image_size_of_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, models.vit_b_16(image_size=384).state_dict())
    network = make_backbone("vit_b_16", num_classes=2, weights="IMAGENET1K_SWAG_E2E_V1")
    assert network.backbone.image_size == 384


def test_old_names_in_the_weights_of_densenet_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    state = models.get_model("densenet121").state_dict()
    old = {name.replace("norm1", "norm.1").replace("conv2", "conv.2"): tensor for name, tensor in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    publish(monkeypatch, old)
    network = make_backbone("densenet121", num_classes=1000, weights="DEFAULT")
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.backbone.state_dict().items())


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resnet18", "IMAGENET_V1", r"no weights 'IMAGENET_V1'. Did you mean 'IMAGENET1K_V1'.* It has IMAGENET1K_V1"),
        ("resnet18", "ResNet50_Weights.IMAGENET1K_V1", r"resnet18 has no weights 'ResNet50_Weights.IMAGENET1K_V1'"),
        ("resnet18", "absent.pth", "no weights file at absent.pth"),
        ("resnet18", "folder/absent", "no weights file at folder/absent"),
        ("vgg16", "IMAGENET1K_FEATURES", "no classification head"),
    ],
)
def test_weights_that_do_not_exist_are_refused(name: str, weights: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        make_backbone(name, num_classes=2, weights=weights)


def test_weights_of_another_network_are_refused(shared_data: Path) -> None:
    weights = shared_data / "weights" / "squeezenet1_0_imagenet_deepcompression.pth"
    with pytest.raises(WeightsError, match=r"does not fit this model: .*left over"):
        make_backbone("squeezenet1_1", num_classes=2, weights=weights)


# Downloading


class Response(io.BytesIO):
    """What `urlopen` returns."""

    def info(self) -> email.message.Message:
        return email.message.Message()


@pytest.mark.parametrize(
    "error", [URLError("Name or service not known"), TimeoutError("timed out"), OSError(28, "full")]
)
def test_a_download_that_fails_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", fail)
    with pytest.raises(WeightsError) as caught:
        make_backbone("squeezenet1_1", num_classes=2, weights="DEFAULT")
    message = str(caught.value)
    assert message.startswith("Could not download SqueezeNet1_1_Weights.IMAGENET1K_V1 (")
    assert "model.weights=PATH" in message
    assert "model.weights=null" in message
    assert "pytorch.org" not in message


def test_a_damaged_download_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", lambda *_, **__: Response(b"not what was published"))
    with pytest.raises(WeightsError, match=r"is damaged.*Delete it there and try again"):
        make_backbone("squeezenet1_1", num_classes=2, weights="DEFAULT")


def test_a_download_has_a_time_limit_and_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []

    def note(*_: Any, **__: Any) -> None:
        limits.append(socket.getdefaulttimeout())
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", note)
    with pytest.raises(WeightsError):
        make_backbone("squeezenet1_1", num_classes=2, weights="DEFAULT")
    assert limits == [backbone_file.TIMEOUT_S]
    assert socket.getdefaulttimeout() is None


# conf/model: that the keys are parameters is tested with all other groups in test_conf.py


@pytest.mark.parametrize("name", ["torchvision", "small_cnn", "cifar_resnet"])
def test_a_model_file_has_a_key_for_each_parameter_of_its_maker(name: str) -> None:
    config = OmegaConf.load(CONF / "model" / f"{name}.yaml")
    maker = getattr(imgrec.models, config["_target_"].removeprefix("imgrec.models."))
    assert set(signature(maker).parameters) - {"options"} <= set(config)


def test_each_other_model_file_fills_in_its_name() -> None:
    files = {path.stem: OmegaConf.load(path) for path in (CONF / "model").glob("*.yaml")}
    names = {stem: config["name"] for stem, config in files.items() if "torchvision" in config.get("defaults", [])}
    assert names == {name: name for name in files.keys() - {"torchvision", "small_cnn", "cifar_resnet"}}
    assert names.keys() <= set(CLASSIFIERS)
