"""Brings dashboards to a Grafana, and rule groups to a ruler, through their APIs: ours, and nothing else."""
