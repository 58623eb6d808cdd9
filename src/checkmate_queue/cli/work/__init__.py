"""Processes that consume: one, several under supervision, or one that follows the code."""
