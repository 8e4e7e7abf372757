"""The environment's files and shell, rebuilt from what the transcript shows. Nothing is executed.

What a call means (`operations`), what it does to the files (`effects`), and how this environment words its outputs
(`forms`: a form counts once it has reproduced an output that was really given) are kept apart.
"""

from simulators.workspace.session import Workspace, WorkspaceSession

__all__ = ["Workspace", "WorkspaceSession"]
