"""The study `robustness=full`: the corruptions and the attack, one after the other."""

from typing import TYPE_CHECKING

from imgrec.studies.study import Study, Subject, check_studies

if TYPE_CHECKING:
    from imgrec.data.loading.datamodule import ImageDataModule

__all__ = ["CorruptionsAndAttack"]


class CorruptionsAndAttack:
    """Runs the corruptions, then the attack."""

    def __init__(self, corruptions: Study, attack: Study) -> None:
        self.studies = (corruptions, attack)

    def check(self, data: "ImageDataModule", /) -> None:
        """Check both. Raises: ConfigError: One of them does not fit."""
        check_studies({"corruptions": self.studies[0], "attack": self.studies[1]}, data)

    def __call__(self, subject: Subject, /) -> None:
        """Write robustness.json and attack.json. Raises: ImgrecError: As the two studies do."""
        for study in self.studies:
            study(subject)
