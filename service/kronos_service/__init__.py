"""The instrumented Kronos forecasting service."""
