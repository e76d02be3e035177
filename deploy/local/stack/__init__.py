"""Where Kafka and the database come from, on a developer's machine and in the tests.

choose      pure: which source, and the sentence that says why
probe       the facts that the choice needs (environment, Docker engine)
state       the one ignored folder: ports, passwords, data, logs, downloads
process     a server process that never outlives its starter; reuse and stop
tether      the launcher that ties a child to its parent
jars        Apache Kafka's jars, downloaded once
kafka       the embedded broker
postgres    the embedded PostgreSQL
compose     the same two servers in containers
prometheus_source  where Prometheus and promtool come from
prometheus  a Prometheus with the rules of this repository
servers     both servers, chosen, started, and stopped at the end
"""
