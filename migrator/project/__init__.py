"""The project on disk: `migrator.toml`, the definitions beside it and the values of parameters.

Importing this room is cheap; what reads TOML into typed tables is imported when a project is found.
"""

from migrator.project.project import DatabaseUrl, Project

__all__ = ["DatabaseUrl", "Project"]
