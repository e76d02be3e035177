"""Where `ingest-service` and `python -m ingest_service` begin.

The command line takes a tenth of a second to import, and a command as long again: nothing is
imported before Ctrl-C is seen to.
"""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from ingest_service import interruption  # noqa: PLC0415 - see above

        interruption.end_at_once()
    except KeyboardInterrupt:
        sys.exit(130)
    from ingest_service import cli  # noqa: PLC0415 - see above

    cli.main()


if __name__ == "__main__":
    main()
