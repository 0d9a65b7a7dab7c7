"""MAY: (principal, action, resource, context) -> allow, hold or deny, by Cedar.

Pure and total: no I/O but the package's own data, no clock, and every question has an answer, which is a denial
unless a policy says otherwise. Sources become a ``PolicySet`` (parsed, checked against the shipped schema, hashed);
a ``Decider`` answers with one policy set for its whole life, so a reload makes a new one and an old answer can't
outlive its policies. A forbid whose condition fails to evaluate is skipped by Cedar: here any such error is a denial.
"""

from interlock.policy.context import NO_TOTALS, Context, Totals
from interlock.policy.decider import Decider
from interlock.policy.policyset import PolicySet, Rule

__all__ = ["NO_TOTALS", "Context", "Decider", "PolicySet", "Rule", "Totals"]
