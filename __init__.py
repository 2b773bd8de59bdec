"""prefect-mha: Master High Availability for MySQL and MariaDB, as Prefect workflows.

The checkout is the package: installed, everything here lies below the one name ``prefect_mha``.
"""
