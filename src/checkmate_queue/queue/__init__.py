"""The one concrete queue, over any store."""

from checkmate_queue.queue.consumer import Consumer
from checkmate_queue.queue.queue import Queue

__all__ = ["Consumer", "Queue"]
