"""What Prefect offers of each configured cluster: served from one process, or put into a work pool.

No flow is here.
"""
