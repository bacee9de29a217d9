"""An AWS in this process: moto's, made truthful where it answers more kindly than AWS, or not at all.

``with Emulator() as aws`` serves every service at ``aws.url``. See server.py for faults and rights.
"""

from tests.emulator.server import ACCOUNT, REGION, Emulator, Fault

__all__ = ["ACCOUNT", "REGION", "Emulator", "Fault"]
