"""Claim: `python train.py` takes its first step within 5.0 s; `--help` and a mistyped key respond within 0.8 s.

`import imgrec` adds at most 0.1 s to a bare Python. On the CPU of the result, idle. Interleaved with train.py on the
built-in digits: a loop in plain torch and torchvision, and imgrec's libraries combined in the usual way (Hydra around
all of it, Lightning, three torchmetrics, albumentations, TensorBoard, scikit-learn's digits, two workers). All three
train the same small network on 64 images of 32 px per step, on the CPU.

    python benchmarks/startup.py            # writes benchmarks/results/startup.json; 5 minutes
    python benchmarks/startup.py --rounds 1 --output /tmp/startup.json      # a short trial
"""

import argparse
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

PROJECT = Path(__file__).resolve().parents[1]
SEED = 1
MARK = "FIRST STEP"
LIMITS_S = {"first step: imgrec": 5.0, "--help": 0.8, "mistyped key": 0.8, "import imgrec, added": 0.1}

# The scripts that are compared, and what they share; written into a temporary folder.
FILES = {
    "first_step.py": f"""
import time
from pytorch_lightning import Callback

def mark():
    print("{MARK}", time.monotonic(), flush=True)

class FirstStep(Callback):
    def on_train_batch_end(self, *arguments):
        mark()
""",
    "network.py": """
from torch import nn

def block(i, o):
    return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
            nn.Conv2d(o, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)]

def network():
    return nn.Sequential(*block(3, 32), *block(32, 64), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
                         nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10))
""",
    "plain.py": f"""
import time
import torch, torchvision
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2
from network import network

data = TensorDataset(torch.randint(0, 256, (1258, 3, 32, 32), dtype=torch.uint8), torch.randint(0, 10, (1258,)))
scale = v2.ToDtype(torch.float32, scale=True)
net = network()
optimizer = torch.optim.AdamW(net.parameters())
for images, labels in DataLoader(data, batch_size=64, shuffle=True):
    torch.nn.functional.cross_entropy(net(scale(images)), labels).backward()
    optimizer.step()
    print("{MARK}", time.monotonic(), flush=True)
    break
""",
    "config.yaml": "lr: 0.001\n",
    "usual.py": """
import albumentations, hydra, numpy, torch
import pytorch_lightning as pl
from albumentations.pytorch import ToTensorV2
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassPrecision
from first_step import FirstStep
from network import network

class Digits(Dataset):
    def __init__(self):
        digits = load_digits()
        self.images, self.labels = (digits.images * 15).astype(numpy.uint8), digits.target
        self.transform = albumentations.Compose(
            [albumentations.Resize(32, 32), albumentations.Normalize([0.5] * 3, [0.5] * 3), ToTensorV2()])

    def __len__(self):
        return 1258

    def __getitem__(self, i):
        return self.transform(image=numpy.stack([self.images[i]] * 3, axis=-1))["image"], int(self.labels[i])

class Model(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr, self.net = lr, network()
        self.accuracy, self.f1 = MulticlassAccuracy(10), MulticlassF1Score(10)
        self.precision_ = MulticlassPrecision(10)

    def training_step(self, batch, index):
        images, labels = batch
        logits = self.net(images)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        for name in ("accuracy", "f1", "precision_"):
            metric = getattr(self, name)
            metric(logits, labels)
            self.log(name, metric)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr)

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(config):
    loader = DataLoader(Digits(), batch_size=64, shuffle=True, num_workers=2)
    logger = TensorBoardLogger(".", default_hp_metric=False)
    pl.Trainer(accelerator="cpu", max_epochs=1, logger=logger, callbacks=[FirstStep()]).fit(Model(config.lr), loader)

main()
""",
}


def seconds_to_end(command: list[str], *, folder: Path) -> float:
    """Return the wall time of a command."""
    started = time.monotonic()
    subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, check=False)
    return time.monotonic() - started


def seconds_to_first_step(command: list[str], *, folder: Path) -> float:
    """Return the wall time until a command has printed its mark; then end it, and its workers."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_ALBUMENTATIONS_UPDATE": "1"}
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        output = []
        for line in process.stdout:
            output.append(line)
            if line.startswith(MARK):
                os.killpg(process.pid, signal.SIGKILL)
                return float(line.split()[-1]) - started
    raise SystemExit(f"{shlex.join(command)} ended before its first step:\n{''.join(output)}")


def measure(folder: Path) -> dict[str, float]:
    """Return the seconds of each case, once."""
    train = [str(PROJECT / "train.py"), "trainer.gpus=0", f"seed={SEED}", f"run_dir={tempfile.mkdtemp(dir=folder)}"]
    first_step = "+callbacks.first_step._target_=first_step.FirstStep"
    return {
        "bare python": seconds_to_end(["-c", "pass"], folder=PROJECT),
        "import imgrec": seconds_to_end(["-c", "import imgrec"], folder=PROJECT),
        "--help": seconds_to_end([*train, "--help"], folder=folder),
        "mistyped key": seconds_to_end([*train, "optimizer.lrr=0.1"], folder=folder),
        "first step: torch + torchvision": seconds_to_first_step(["plain.py"], folder=folder),
        "first step: usual stack": seconds_to_first_step(["usual.py"], folder=folder),
        "first step: imgrec": seconds_to_first_step([*train, first_step], folder=folder),
    }


def summary(rounds: list[dict[str, float]]) -> dict[str, object]:
    """Return medians, and imgrec's ratio to the others round by round."""
    seconds = {
        name: {"median": statistics.median(r[name] for r in rounds), "min": min(r[name] for r in rounds)}
        for name in rounds[0]
    }
    added = [r["import imgrec"] - r["bare python"] for r in rounds]
    seconds["import imgrec, added"] = {"median": statistics.median(added), "min": min(added)}
    ratios = {
        f"first step: imgrec / {other}": statistics.median(
            r["first step: imgrec"] / r[f"first step: {other}"] for r in rounds
        )
        for other in ("torch + torchvision", "usual stack")
    }
    holds = {name: seconds[name]["median"] <= limit for name, limit in LIMITS_S.items()}
    return {"rounds": len(rounds), "seconds": seconds, "ratios": ratios, "limits_s": LIMITS_S, "holds": holds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "startup.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in FILES.items():
            (folder / file).write_text(text)
        rounds = [measure(folder) for _ in range(arguments.rounds + 1)][1:]  # the first one fills the file cache
    result = {"machine": describe(), "seed": SEED, **summary(rounds)}
    print(json.dumps(result, indent=1))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
