"""The manager: one backend and its queues in one process."""

from checkmate_queue.manager.manager import QueueManager

__all__ = ["QueueManager"]
