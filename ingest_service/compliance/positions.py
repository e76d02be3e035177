"""Which offsets have their row: one bit an offset, so that nothing extra can hide in a count."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from ingest_service.shapes import Place, Range

BLOCK_BITS = 14
"""A block is 16,384 offsets of one stream: 2 KiB here, one number from the database."""

Bits: TypeAlias = tuple[int, int, bytes]
"""A block on its way from one process to another: stream id, number, a bit an offset."""

_BLOCK = 1 << BLOCK_BITS


def merged_ranges(ranges: Iterable[Range]) -> list[Range]:
    """Return ranges of offsets in order, those that touch being one: each costs a look a row."""
    result: list[Range] = []
    for stream_id, first, end in sorted(ranges):
        if result and result[-1][0] == stream_id and first <= result[-1][2]:
            _, start, before = result.pop()
            result.append((stream_id, start, max(before, end)))
        else:
            result.append((stream_id, first, end))
    return result


class Positions:
    """A set of (stream id, offset) that takes a bit for each offset that it passes over."""

    def __init__(self) -> None:
        self._blocks: dict[Place, bytearray] = {}

    def add(self, stream_id: int, offset: int) -> None:
        """Put a place in."""
        key = stream_id, offset >> BLOCK_BITS
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = bytearray(_BLOCK // 8)
        within = offset & (_BLOCK - 1)
        block[within >> 3] |= 1 << (within & 7)

    def tell(self) -> list[Bits]:
        """Return all places, for `merge`."""
        return [(*key, bytes(block)) for key, block in self._blocks.items()]

    def merge(self, told: Iterable[Bits]) -> None:
        """Put in the places that were found elsewhere."""
        for stream_id, number, bits in told:
            key = stream_id, number
            there = self._blocks.get(key)
            joined = int.from_bytes(bits, "little") | int.from_bytes(there or b"", "little")
            self._blocks[key] = bytearray(joined.to_bytes(_BLOCK // 8, "little"))

    def __contains__(self, place: Place) -> bool:
        stream_id, offset = place
        block = self._blocks.get((stream_id, offset >> BLOCK_BITS))
        within = offset & (_BLOCK - 1)
        return block is not None and bool(block[within >> 3] & 1 << (within & 7))

    def remove(self, gone: Range) -> None:
        """Take a range of offsets out."""
        stream_id, first, end = gone
        for key, block in self._blocks.items():
            start = key[1] << BLOCK_BITS
            if key[0] == stream_id and start < end and first < start + _BLOCK:
                for within in range(max(first - start, 0), min(end - start, _BLOCK)):
                    block[within >> 3] &= ~(1 << (within & 7))

    def count(self, key: Place) -> int:
        """Return how many places a block holds."""
        block = self._blocks.get(key)
        return int.from_bytes(block, "little").bit_count() if block is not None else 0

    def odd_blocks(self, counts: Mapping[Place, int]) -> list[Place]:
        """Return the blocks that hold more or fewer places than counted."""
        blocks = self._blocks.keys() | counts.keys()
        return sorted(key for key in blocks if self.count(key) != counts.get(key, 0))

    def in_block(self, key: Place) -> Iterator[Place]:
        """Yield a block's places in order."""
        stream_id, number = key
        first = number << BLOCK_BITS
        for offset in range(first, first + _BLOCK):
            if (stream_id, offset) in self:
                yield stream_id, offset
