"""Whose handlers answer for several workers."""

from __future__ import annotations

from mesh_gateway.gateway.admin.application import Resources
from mesh_gateway.gateway.admin.documents import Documents
from mesh_gateway.gateway.workers.admin.asked import Several
from mesh_gateway.gateway.workers.admin.deadletters import GroupDeadLetters
from mesh_gateway.gateway.workers.admin.status import GroupStatus
from mesh_gateway.gateway.workers.admin.watch import GroupWatch


def resources_of(group: Several) -> Resources:
    """Those of a group of workers."""
    return Resources(GroupStatus(group), GroupDeadLetters(group), GroupWatch(group).watch, Documents(group))
