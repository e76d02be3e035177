"""The command line: one file a command; each parses, calls, prints."""


def main() -> None:
    """Run `ingest-service`."""
