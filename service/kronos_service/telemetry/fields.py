"""The fields of log lines. The table in the guide is generated from here."""

from __future__ import annotations

FIELDS: dict[str, str] = {
    # Every line.
    "timestamp": "Time in UTC (RFC 3339, microseconds).",
    "level": "`debug`, `info`, `warning` or `error`.",
    "logger": "Name of the logger: `kronos.request`, `kronos.server`, ..., or a library's.",
    "event": "What happened. `request` marks the one line that each request gets when it ends.",
    "container": "Host name of this instance: the name of the pod or container.",
    "pid": "Process id.",
    # Every line of a request, on any thread.
    "request_id": "The caller's X-Request-ID if it is well-formed, else a new one; also in the answer.",
    "trace_id": "Trace id of the caller's `traceparent` header, if that is valid.",
    "span_id": "The caller's span in that trace.",
    # The line of a request.
    "client_address": "Address of the connection or, if it is that of a trusted proxy, of whom it forwarded for.",
    "client": "Name that belongs to the API key, or `anonymous`.",
    "method": "HTTP method.",
    "route": "Path of the API, a probe or the scrape; `unmatched` for any other.",
    "path": "The requested path if the route is `unmatched`: escaped, at most 128 characters.",
    "status": "How the request ended, as in the label `status` of kronos_requests_total.",
    "code": "HTTP status code of the answer; absent if no answer could be sent.",
    "request_bytes": "Size of the request body; absent if it was not read completely.",
    "response_bytes": "Size of the response body.",
    "duration_ms": "From the first byte of the request to the last byte of its answer.",
    # Where the time went, and what for.
    "preprocess_ms": "Validating the request and building the arrays, including the wait for a thread.",
    "queue_ms": "Waiting for the model, summed over all waits.",
    "inference_ms": "In the model, summed over all series.",
    "tokenize_ms": "Of that, candles to tokens.",
    "prefill_ms": "Of that, the first pass over the whole window.",
    "decode_ms": "Of that, all further steps, one forecast candle each.",
    "detokenize_ms": "Of that, tokens back to candles.",
    "postprocess_ms": "Correcting the candles and building the answer, including the wait for a thread.",
    "batch": "Series in the request, without refused ones.",
    "refused": "Series that were refused, of a batch that asked for partial success.",
    "candles": "Input candles, summed over the series.",
    "horizon": "Candles to forecast, of the series with the most.",
    "samples": "Sample paths, of the series with the most.",
    "model": "Name and revision of the model.",
    # What went wrong.
    "problem": "Kind of error in the answer: the last part of its `type`.",
    "error_type": "Type of a 500, as in the label `type` of kronos_errors_total.",
    "stage": "How far the request got: `gate`, `body`, `preprocess`, `queue`, `inference` or `postprocess`.",
    "where": "Where the code failed: file, line and function.",
    "detail": "What the caller was told: what went wrong, and what to do.",
    "errors": "Number of mistakes in the body; the search stops at 100.",
    "first_error": "The first mistake: JSON pointer and reason, at most 200 characters.",
    "cancelled": "Why an admitted request was stopped, as in the label `cause` of kronos_cancellations_total.",
    "exception": "Stack trace of an error; if longer than 16,384 characters, the end of it.",
    # A storm of rejections.
    "left_out": "Number of requests like this that got no line of their own.",
    "clients": "Who sent them: client name to count.",
    "lost": "Number of log lines that were lost before this one because nobody took them.",
    # The life of the service.
    "settings": "All settings, secrets hidden.",
    "host": "Address that the service listens on.",
    "port": "Port that the service listens on.",
    "metrics_host": "Address of the metrics, if separate.",
    "metrics_port": "Port of the metrics, if separate.",
    "version": "Version of the service.",
    "warning": "A likely mistake in the settings.",
    "signal": "Stop signal that was received.",
    "seconds": "How long it took, or may take at most.",
    "running": "Requests not answered yet.",
    "exit_code": "Exit code of the process.",
    "outcome": "How loading the model ended, as in the label `outcome` of kronos_model_loads_total.",
    "reason": "Why something failed, for the operator.",
    "retry_seconds": "Seconds until the next attempt.",
    "names": "Names of all clients that now have a key.",
}
"""All fields of log lines, with their meanings."""
