"""The audit trail of one service: rows written before the effect (`trail`), kept in its database (`store`), and the
calls that read them (`reading`). The rule of the rows is in `contracts/audit.py`.
"""

from runtime.audit.fitting import fitting
from runtime.audit.noting import note
from runtime.audit.reading import answers
from runtime.audit.store import AuditStore
from runtime.audit.trail import Trail

__all__ = ["AuditStore", "Trail", "answers", "fitting", "note"]
