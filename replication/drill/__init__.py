"""Drills: a failover or a switch that is practised, and measured by what an application would have seen of it.

`plan` decides whether one may be held, `fault` is what is done to a host, `canary` writes as an application would,
`measure` reads its ledger and the journals, `scorecard` judges, `past` remembers.
"""
