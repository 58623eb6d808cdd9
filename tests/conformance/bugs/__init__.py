"""Stores with one bug each, which the suite must find."""
