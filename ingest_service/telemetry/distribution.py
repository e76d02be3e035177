"""How observations spread over a histogram's buckets: pure arithmetic on lists."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import add
from typing import NamedTuple


class Example(NamedTuple):
    """One observation that stands for its bucket: which request it was, and when."""

    request_id: str
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Observations by bucket (not cumulative, the last without a bound), and their sum."""

    counts: Sequence[int]
    total: float = 0.0
    examples: Mapping[int, Example] = field(default_factory=dict)
    """By bucket; at most one each."""

    def __add__(self, more: "Distribution") -> "Distribution":
        """Return both together; the newer examples stay."""
        return Distribution(
            [*map(add, self.counts, more.counts)],
            self.total + more.total,
            {**self.examples, **more.examples},
        )


def spread(values: Sequence[float], bounds: Sequence[float]) -> list[int]:
    """Return how many of these sorted values fall into each bucket; a bound is within its own."""
    passed = [0, *(bisect_right(values, bound) for bound in bounds), len(values)]
    return [after - before for before, after in pairwise(passed)]


def rebucketed(
    counts: Sequence[int], bounds: Sequence[float], wanted: Sequence[float]
) -> list[int]:
    """Return counts over `bounds` as counts over `wanted`: exact where a bound is in both.

    Otherwise a bucket counts as at its upper end: a latency may be shown longer, never shorter.
    """
    placed = [0] * (len(wanted) + 1)
    for count, bound in zip(counts, (*bounds, float("inf")), strict=True):
        at = next((n for n, upper in enumerate(wanted) if bound <= upper), len(wanted))
        placed[at] += count
    return placed
