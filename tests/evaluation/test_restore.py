"""What is said of a network that does not have the tensors of a checkpoint."""

import pytest
from torch import nn

from imgrec.core.checkpoint.checkpoint import CheckpointInfo
from imgrec.errors import CheckpointError
from imgrec.evaluation.restore import OBJECT_KEY, build_network, load_exactly


def test_an_own_network_that_differs_is_shown_name_by_name():
    trained, own = nn.Sequential(nn.Linear(2, 4)), nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1))
    with pytest.raises(CheckpointError) as error:
        load_exactly(own, trained.state_dict(), name="best.ckpt", given="MyNet")
    assert str(error.value) == (
        "best.ckpt: your MyNet differs from the trained one in 4 tensors: 0.bias only in the checkpoint; 0.weight "
        "(3, 2), trained (4, 2); 1.bias only in the model; 1.weight only in the model. Build it with the same "
        "arguments as for the training."
    )


def test_a_model_that_imgrec_built_must_not_be_overridden():
    with pytest.raises(CheckpointError, match=r"1 tensor .*weight.*Do not override the model of a checkpoint"):
        load_exactly(nn.Linear(2, 3), nn.Linear(5, 3).state_dict(), name="best.ckpt")


def test_a_network_that_was_an_object_is_asked_for_in_both_calls():
    info = CheckpointInfo({"model": {OBJECT_KEY: "my.package.MyNet"}}, ["a", "b"], "single", "", 1, 8, 1, "0")
    with pytest.raises(CheckpointError) as error:
        build_network({}, info, name="best.ckpt")
    assert str(error.value).endswith(
        "Give an equal one in Python: imgrec.load('best.ckpt', model=MyNet(...)) or "
        "imgrec.evaluate('checkpoint=best.ckpt', model=MyNet(...))."
    )
