"""Small verbs on one replica: drain, promote, repoint, and the proofs that nothing unapplied is lost.

Which replica, and when, is a runbook's to say.
"""
