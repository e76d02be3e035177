"""What bounds label values: however many a caller invents, memory and /metrics stay small. Pure."""

from collections.abc import Collection

from ingest_service.telemetry.declaration import NONE, OTHER, Declaration, Label

Labels = tuple[str, ...]

MAX_VALUE_BYTES = 64
"""Of a value that comes from outside; what is longer is cut."""


class _Bound:
    """One label's values.

    Who comes first stays: a flood of invented names can hide a new server behind `other` until
    the worker restarts, but it can not grow the exposition.
    """

    def __init__(self, label: Label) -> None:
        self._most = label.most
        self._closed = frozenset(label.values)
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._seen or value in self._closed:
            return value
        if self._closed:
            return OTHER
        if self._most is None:
            return value
        value = short(value)
        if value not in self._seen:
            if len(self._seen) >= self._most:
                return OTHER
            self._seen.add(value)
        return value


class LabelBounds:
    """All labels of one metric, and how many series they may make together."""

    def __init__(self, declaration: Declaration) -> None:
        self._bounds = [_Bound(label) for label in declaration.labels]
        self._open = [label.most is not None for label in declaration.labels]
        self._most = declaration.most_series if any(self._open) else None

    def of(self, labels: Labels, series: Collection[Labels]) -> Labels:
        """Return the labels with each at its bound; beyond `most_series`, open ones are `other`.

        Raises `ValueError` for a wrong number of them: a bug of ours.
        """
        key = tuple(bound(value) for bound, value in zip(self._bounds, labels, strict=True))
        if self._most is None or key in series or len(series) < self._most:
            return key
        return tuple(
            OTHER if is_open else value for value, is_open in zip(key, self._open, strict=True)
        )


def short(value: str) -> str:
    """Return the value within its bytes; an empty one would be no label at all to Prometheus."""
    if len(value) * 4 > MAX_VALUE_BYTES:
        value = value[:MAX_VALUE_BYTES].encode()[:MAX_VALUE_BYTES].decode(errors="ignore")
    return value or NONE
