"""What a publisher tells the gateway when an event is not, or not yet, recorded."""

from ingest_service.errors import IngestError


class NotRecorded(IngestError):  # noqa: N818 - the gateway reads it as the answer it is
    """The event is not known to be recorded: a gateway that fails closed refuses the call.

    `maybe_recorded` is false when the event never left this process. When it is true, the event
    was on its way and may still arrive; publishing the same event again is safe, since its id
    stays the same and it is written once.
    """

    def __init__(self, audit_id: str, why: str, *, maybe_recorded: bool) -> None:
        arrival = "it may still arrive" if maybe_recorded else "it was not sent"
        super().__init__(f"audit event {audit_id} is not recorded ({arrival}): {why}")
        self.audit_id = audit_id
        self.why = why
        self.maybe_recorded = maybe_recorded


class BufferFull(NotRecorded):
    """The buffer has no room: the event was not taken. Nothing that was taken is dropped for it."""

    def __init__(self, audit_id: str, max_events: int, max_bytes: int) -> None:
        why = (
            f"the buffer is full ({max_events} events or {max_bytes} bytes wait for the broker); "
            "is the broker reachable?"
        )
        super().__init__(audit_id, why, maybe_recorded=False)


class PublisherForked(IngestError):  # noqa: N818 - see NotRecorded
    """This publisher was opened in another process: each process opens its own, after the fork."""

    def __init__(self) -> None:
        super().__init__(
            "this AuditPublisher was started before the process forked; its connection belongs "
            "to the parent. Start one in each worker process, after the fork"
        )
