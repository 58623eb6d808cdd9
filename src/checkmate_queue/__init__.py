"""Checkmate Queue: a job queue with pluggable backends. Import from here only."""

from checkmate_queue.backends.plugin import BackendConfig, Migration, QueuePlugin, QueuePluginRegistry
from checkmate_queue.core.details import (
    BackendProbe,
    FailedJob,
    GroupDetails,
    JobDetails,
    Lag,
    LagThresholds,
    RecurringJobDetails,
    WorkerDetails,
)
from checkmate_queue.core.errors import (
    BackendSwitchError,
    BackendUnavailableError,
    ConfigError,
    InvalidArgumentError,
    JobExistsError,
    PayloadError,
    PluginNotFoundError,
    QueueError,
    QueueFullError,
    QueueStoppedError,
    ScheduleError,
)
from checkmate_queue.core.job import Enqueue, Job, JobId
from checkmate_queue.core.model import CancelResult, GroupStats, QueueStats
from checkmate_queue.core.retry import Discard, Exponential, Fixed, Retry
from checkmate_queue.manager import QueueManager
from checkmate_queue.queue import Consumer, Queue
from checkmate_queue.runtime.events import (
    Event,
    GroupAbandoned,
    JobCancelled,
    JobCompleted,
    JobEnqueued,
    JobFailed,
    JobRetried,
    JobStarted,
    LagChanged,
    LeaseLost,
)

__version__ = "0.1.0"

__all__ = [
    "BackendConfig",
    "BackendProbe",
    "BackendSwitchError",
    "BackendUnavailableError",
    "CancelResult",
    "ConfigError",
    "Consumer",
    "Discard",
    "Enqueue",
    "Event",
    "Exponential",
    "FailedJob",
    "Fixed",
    "GroupAbandoned",
    "GroupDetails",
    "GroupStats",
    "InvalidArgumentError",
    "Job",
    "JobCancelled",
    "JobCompleted",
    "JobDetails",
    "JobEnqueued",
    "JobExistsError",
    "JobFailed",
    "JobId",
    "JobRetried",
    "JobStarted",
    "Lag",
    "LagChanged",
    "LagThresholds",
    "LeaseLost",
    "Migration",
    "PayloadError",
    "PluginNotFoundError",
    "Queue",
    "QueueError",
    "QueueFullError",
    "QueueManager",
    "QueuePlugin",
    "QueuePluginRegistry",
    "QueueStats",
    "QueueStoppedError",
    "RecurringJobDetails",
    "Retry",
    "ScheduleError",
    "WorkerDetails",
]
