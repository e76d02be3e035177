"""What was proved last, and signed last: notes of `verify` and `anchor` in the database."""

from typing import Final

from ingest_service.telemetry.declaration import Declaration, Kind, Label, Source

RESULTS: Final = ("good", "bad")

LAST_VERIFICATION = Declaration(
    name="sark_audit_last_verification_timestamp_seconds",
    kind=Kind.GAUGE,
    help="When `verify` last ended over everything, by how; absent until it has.",
    source=Source.DATABASE,
    labels=(Label("result", "`good` or `bad`", values=RESULTS),),
)
VERIFICATION_FINDINGS = Declaration(
    name="sark_audit_verification_findings",
    kind=Kind.GAUGE,
    help="What the last `verify` over everything found wrong; absent until there was one.",
    source=Source.DATABASE,
)
LAST_ANCHOR = Declaration(
    name="sark_audit_last_anchor_timestamp_seconds",
    kind=Kind.GAUGE,
    help="When heads were last signed; absent until they were.",
    source=Source.DATABASE,
)

PROOF = (LAST_VERIFICATION, VERIFICATION_FINDINGS, LAST_ANCHOR)
