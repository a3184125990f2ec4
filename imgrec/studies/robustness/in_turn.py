"""Several studies of one group, as `robustness=full` has them."""

from typing import TYPE_CHECKING

from imgrec.studies.study import Study, Subject, check_studies

if TYPE_CHECKING:
    from imgrec.data.loading.datamodule import ImageDataModule

__all__ = ["InTurn"]


class InTurn:
    """Runs the corruptions, then the attack."""

    def __init__(self, corruptions: Study, attack: Study) -> None:
        self.studies = (corruptions, attack)

    def check(self, data: "ImageDataModule", /) -> None:
        """Let both look whether they can be made. Raises: as they do."""
        check_studies({"corruptions": self.studies[0], "attack": self.studies[1]}, data)

    def __call__(self, subject: Subject, /) -> None:
        """Let both write their files. Raises: as they do."""
        for study in self.studies:
            study(subject)
