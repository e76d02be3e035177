from ingest_service.events.rejection import Reason, Rejection


class Refused(Exception):  # noqa: N818 - a verdict on its way up, caught in one place
    """This record can not become a row; carries the rejection that says why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason)
        self.rejection = Rejection(reason, message)
