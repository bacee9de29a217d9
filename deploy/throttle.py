"""How much the API takes at once. Its page and its health need no token, and each request is a function's execution, so
that without a bound anybody may use up the account's executions, and its owner's money."""

from __future__ import annotations

from typing import Any

from deploy.record import API_STAGE

RATE, BURST = 50.0, 100  # requests a second, and at once: a first page is 30 of them
EVERYTHING = "*/*"  # every resource and method of the stage


def put_throttle(gateway: Any, api_id: str) -> bool:
    """Bring the stage's throttle to RATE and BURST; False where it was so."""
    held = gateway.get_stage(restApiId=api_id, stageName=API_STAGE).get("methodSettings", {}).get(EVERYTHING, {})
    if (held.get("throttlingRateLimit"), held.get("throttlingBurstLimit")) == (RATE, BURST):
        return False
    values = {"rateLimit": f"{RATE:g}", "burstLimit": str(BURST)}
    gateway.update_stage(
        restApiId=api_id,
        stageName=API_STAGE,
        patchOperations=[
            {"op": "replace", "path": f"/{EVERYTHING}/throttling/{name}", "value": value}
            for name, value in values.items()
        ],
    )
    return True
