"""One forecast from beginning to end, without a worker."""

from .checkpoint import Checkpoint
from .progress import Progress
from .scheduler import Scheduler
from .series import Forecast, Series
from .stop import StopToken


def forecast(checkpoint: Checkpoint, series: Series, *, stop: StopToken | None = None, hop: int = 1) -> Forecast:
    """Continue ``series`` by its horizon. Threads may share a checkpoint.

    Args:
        checkpoint: tokenizer and model.
        series: history, horizon and sampling.
        stop: checked before every chunk and every step.
        hop: see :class:`.progress.Progress`.

    Raises:
        ForecastInvalid: the candles are too large to be normalised.
        Stopped: ``stop`` was set.
        InvalidOutput: the model answered with numbers that are not finite.
        OutOfMemory, InferenceError: the model failed.
    """
    scheduler = Scheduler(checkpoint)
    scheduler.add(Progress(checkpoint, series, stop, hop))
    while True:
        for one in scheduler.turn().ended:
            if isinstance(one.outcome, Forecast):
                return one.outcome
            assert one.outcome is not None  # noqa: S101 - it has ended
            raise one.outcome
