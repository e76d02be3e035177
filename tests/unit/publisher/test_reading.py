"""Lines come out as they went in, from files and from pipes that take their time."""

import asyncio
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.publisher.reading import read_lines


async def all_lines(descriptor: int) -> list[bytes]:
    return [line async for line in read_lines(descriptor)]


@given(st.lists(st.binary(max_size=50).map(lambda line: line.replace(b"\n", b"")), max_size=20))
def test_a_pipe_gives_the_lines_that_were_written(lines: list[bytes]) -> None:
    """Nothing is added, lost or joined, whether or not the last line has an end."""
    reader, writer = os.pipe()
    os.write(writer, b"\n".join(lines))
    os.close(writer)
    try:
        read = asyncio.run(all_lines(reader))
    finally:
        os.close(reader)
    assert read == (lines[:-1] if lines and not lines[-1] else lines)


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    """Chunks cut lines anywhere; they are joined again."""
    lines = [b"x" * (number * 997 % 3000) for number in range(1000)]
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(lines) + b"\n")
    with path.open("rb", buffering=0) as file:
        assert await all_lines(file.fileno()) == lines


async def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    """Of ten megabytes without a line end so much is kept that the decoder sees: too large."""
    path = tmp_path / "lines"
    path.write_bytes(b"x" * 10_000_000 + b"\nnext\n")
    with path.open("rb", buffering=0) as file:
        first, second = await all_lines(file.fileno())
    assert 1_048_576 < len(first) < 2_000_000
    assert second == b"next"


async def test_an_empty_device_is_no_lines() -> None:
    """/dev/null is neither a file nor anything one could wait for."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        assert await all_lines(descriptor) == []
    finally:
        os.close(descriptor)


async def test_waiting_for_a_writer_leaves_the_loop_free() -> None:
    """A pipe that is silent holds up nothing, and reading from it can be cancelled."""
    reader, writer = os.pipe()
    reading = asyncio.create_task(all_lines(reader))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    os.close(reader)
    os.close(writer)
