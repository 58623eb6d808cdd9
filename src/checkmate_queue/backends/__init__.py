"""Backends: the engines that hold jobs, groups, deliveries and schedules."""
