"""Checkmate Queue: a job queue with pluggable backends."""
