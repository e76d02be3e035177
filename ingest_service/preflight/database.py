"""What a database must be like for the persister, and what is not so: pure."""

from collections.abc import Iterator

from ingest_service.adapters.database_check import WRITER, DatabaseSurvey
from ingest_service.preflight.finding import Finding, right, warning, wrong

_MOST_SECONDS_APART = 2.0
_EDITIONS = {"apache": "Apache", "timescale": "Community"}


def judge(found: DatabaseSurvey, newest: str | None) -> list[Finding]:
    """Return what is right and wrong with the database, for this release's newest revision."""
    return [
        *_server(found),
        _schema(found, newest),
        *_rights(found),
        *_retention(found),
        _clock(found),
    ]


def edition(found: DatabaseSurvey) -> str:
    """Return which product this is, by the name its users know."""
    if found.timescaledb is None:
        return f"PostgreSQL {found.version}"
    licence = _EDITIONS.get(found.licence or "", found.licence)
    return f"PostgreSQL {found.version} with TimescaleDB {found.timescaledb} ({licence} edition)"


def _server(found: DatabaseSurvey) -> Iterator[Finding]:
    subject = "database server"
    if found.standby:
        yield wrong(
            subject,
            f"{edition(found)} is a standby: it takes no writes",
            "name the primary in INGEST_DATABASE__DSN",
        )
    else:
        yield right(subject, edition(found))
    for setting, value in (
        ("fsync", found.fsync),
        ("synchronous_commit", found.synchronous_commit),
    ):
        if value == "off":
            yield warning(
                subject,
                f"{setting}=off",
                "a crash can lose committed events that Kafka may no longer have: switch it on",
            )


def _schema(found: DatabaseSurvey, newest: str | None) -> Finding:
    subject = "database schema"
    if found.revision == newest:
        return right(subject, f"revision {newest}")
    if not found.rights:
        return wrong(subject, "the audit tables are not there", "run `ingest-service migrate`")
    if found.revision is None:
        return wrong(
            subject,
            "its revision cannot be read",
            f"grant {WRITER} to {found.role}, or run `ingest-service migrate`",
        )
    return wrong(
        subject,
        f"revision {found.revision}, this release needs {newest}",
        "run `ingest-service migrate` of the newer release",
    )


def _rights(found: DatabaseSurvey) -> Iterator[Finding]:
    subject = f"database role {found.role}"
    if found.superuser:
        yield warning(
            subject,
            "is a superuser: it could change what it wrote, unseen until `verify`",
            f"let the workers sign in with a role that has {WRITER} and no more",
        )
        return
    if not found.writer:
        yield wrong(subject, f"has not the role {WRITER}", f"grant {WRITER} to {found.role}")
        return
    lacking = [
        name for name, rights in found.rights.items() if not (rights.select and rights.insert)
    ]
    if lacking or not found.temporary:
        named = [*lacking, *([] if found.temporary else ["temporary tables"])]
        yield wrong(
            subject,
            f"may not read and insert: {', '.join(named)}",
            "run `ingest-service migrate`: it grants what is missing",
        )
    changing = [name for name, rights in found.rights.items() if rights.change]
    if changing:
        yield warning(
            subject,
            f"may update or delete: {', '.join(changing)}",
            f"let the workers sign in with a role that has {WRITER} and no more",
        )
    if not (lacking or changing) and found.temporary:
        yield right(subject, "reads and appends, and can change nothing")


def _retention(found: DatabaseSurvey) -> Iterator[Finding]:
    for table in found.retention_policies:
        yield wrong(
            f"retention of {table}",
            "a native policy drops chunks behind the ledger's back",
            f"select remove_retention_policy('{table}'); use `ingest-service retention`",
        )


def _clock(found: DatabaseSurvey) -> Finding:
    subject = "database clock"
    apart = abs(found.seconds_ahead)
    if apart <= _MOST_SECONDS_APART:
        return right(subject, f"within {_MOST_SECONDS_APART:.0f} s of this machine's")
    side = "ahead of" if found.seconds_ahead > 0 else "behind"
    return warning(
        subject, f"{apart:.0f} s {side} this machine's", "synchronise both, by NTP for instance"
    )
