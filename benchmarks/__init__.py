"""Benchmarks: what the library promises in numbers, measured through its public interface."""
