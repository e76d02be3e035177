"""`python -m ingest_service`: the command line."""

from ingest_service.cli import main

if __name__ == "__main__":
    main()
