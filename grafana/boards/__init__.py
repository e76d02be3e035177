"""The Grafana dashboards, as code: a module a dashboard, or a folder when it has several parts."""
