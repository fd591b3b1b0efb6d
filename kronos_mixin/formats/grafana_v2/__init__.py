"""Dashboards as version 2 of Grafana's resource, as it is from Grafana 13 on."""
