"""Profiles of programs, as in ``torch.profiler``."""

from fakel.profiler.annotate import record_function
from fakel.profiler.events import DeviceType
from fakel.profiler.schedules import ProfilerAction, schedule
from fakel.profiler.session import (
    ProfilerActivity,
    kineto_available,
    profile,
    supported_activities,
    tensorboard_trace_handler,
)

__all__ = [
    "DeviceType",
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
