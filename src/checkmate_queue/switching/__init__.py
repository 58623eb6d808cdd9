"""Changing the backend while everything runs: stored configs, their secrets, and the move itself."""
