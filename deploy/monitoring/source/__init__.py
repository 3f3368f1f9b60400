"""What the files for Prometheus, Grafana and operators are made from."""
