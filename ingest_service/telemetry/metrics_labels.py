"""Labels that several metrics share, so that a query can join them, and their usual buckets."""

from ingest_service.telemetry.declaration import NONE, Label

DECISION = Label("decision", "`decision`", values=("allow", "deny", NONE))
ACTION = Label("action", "`metadata.action`", most=24)
EVENT_TYPE = Label("event_type", "`event_type`", most=24)
SERVER = Label("server", "`server_name`", most=80)
TOOL = Label("tool", "`tool_name`", most=120)
STATUS = Label(
    "status",
    "`error` when there is a `metadata.error`, else `denied` or `allowed` by the decision",
    values=("allowed", "denied", "error"),
)
AGENT_KINDS = tuple(
    Label(name, f"`metadata.{name}`", most=12) for name in ("source_type", "target_type")
)
POLICY_NAME = Label("policy_name", "`metadata.policy.name`", most=24)
GATEWAY_INSTANCE = Label(
    "gateway_instance", "`metadata.telemetry.instance`: the gateway's process", most=64
)

TOPIC = Label("topic", "the configured topic")
PARTITION = Label("partition", "the topic's partitions")
SINK = Label("siem_platform", "the sinks that are on")

LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
DURATION_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WRITE_SECONDS = (0.001, 0.0025, *DURATION_SECONDS)
