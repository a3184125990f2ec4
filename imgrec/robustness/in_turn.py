"""Several studies of one group, as `robustness=full` has them."""

from imgrec.study import Study, Subject

__all__ = ["InTurn"]


class InTurn:
    """Runs the corruptions, then the attack."""

    def __init__(self, corruptions: Study, attack: Study) -> None:
        self.studies = (corruptions, attack)

    def __call__(self, subject: Subject, /) -> None:
        """Let both write their files. Raises: as they do."""
        for study in self.studies:
            study(subject)
