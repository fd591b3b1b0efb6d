"""The errors of a forecast, under one base class."""

# ruff: noqa: N818 - the names say what happened (QueueFull, Stopped), as in the standard library's queue.Full.

import torch


class ForecasterError(Exception):
    """Base class of this package's errors."""


class CheckpointError(ForecasterError):
    """A checkpoint could not be loaded."""


class CheckpointNotFound(CheckpointError):
    """The folder, the repository or a file of a checkpoint is missing or cannot be reached."""


class CheckpointInvalid(CheckpointError):
    """The files are not a Kronos checkpoint that this package can run."""


class DeviceUnavailable(ForecasterError):
    """The requested device is unknown or absent."""


class ForecastInvalid(ForecasterError, ValueError):
    """The series, or its sampling, is not valid: the caller's fault."""


class NotReady(ForecasterError):
    """No model is loaded yet, or it is already closed."""


class QueueFull(ForecasterError):
    """The queue has no room for all requested series; none was admitted.

    Attributes:
        depth: series waiting when the request came.
        capacity: maximum number of series that wait.
        asked: series in the request.
        reserved: places reserved for other callers.
        retry_seconds: when there will be room, estimated from the measured rate; 0 before any measurement.
    """

    def __init__(self, depth: int, capacity: int, asked: int, reserved: int = 0, retry_seconds: float = 0.0) -> None:
        self.depth, self.capacity, self.asked = depth, capacity, asked
        self.reserved, self.retry_seconds = reserved, retry_seconds
        remedy = "ask for fewer series" if asked > capacity else "try again later"
        kept = f", {reserved} are kept for other callers," if reserved else ""
        super().__init__(
            f"queue full: {depth} of {capacity} places are taken{kept} and {asked} were asked for; {remedy}"
        )


class TooMuchWork(ForecasterError):
    """The model could not do what was asked for in time, even if it did nothing else.

    Attributes:
        seconds: how long it would take, as the model was measured so far.
        limit: how long it may take.
    """

    def __init__(self, seconds: float, limit: float) -> None:
        self.seconds, self.limit = seconds, limit
        super().__init__(
            f"this takes about {seconds:.0f} s of the model, and {limit:g} s are allowed; send fewer series,"
            " a shorter horizon or fewer samples"
        )


class Stopped(ForecasterError):
    """The work was stopped before it was done.

    Attributes:
        cause: the reason that the caller of ``stop`` gave.
    """

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"stopped: {cause}")


class ModelFailed(ForecasterError):
    """Base class of errors that are not the series' fault."""


class InferenceError(ModelFailed):
    """The model failed unexpectedly; see ``__cause__``."""


class OutOfMemory(ModelFailed):
    """The host's or the device's memory ran out."""


class InvalidOutput(ModelFailed):
    """The model returned numbers that are not finite."""


def classify(error: Exception) -> ForecasterError:
    """Turn any error into a :class:`ForecasterError`, with the original as its cause."""
    if isinstance(error, ForecasterError):
        return error
    named: ForecasterError
    if _is_out_of_memory(error):
        named = OutOfMemory(f"memory ran out: {error}; free some, or ask for fewer samples or a smaller model")
    else:
        named = InferenceError(f"the model failed: {type(error).__name__}: {error}")
    named.__cause__ = error
    return named


def _is_out_of_memory(error: Exception) -> bool:
    # The CPU allocator raises a bare RuntimeError, which only its message tells apart.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )
