"""driftd: drift detection and reconciliation for Kubernetes GitOps.

The folder list is the data flow; `docs/architecture.md` walks through it.
"""

__version__ = "0.1.0"
