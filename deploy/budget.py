"""The account's monthly budget, by the Budgets API: CloudFormation knows AWS::Budgets::Budget in a few regions only,
while the API serves a whole partition from one place.

Over the whole account: a budget by tag counts nothing until somebody activates the tag for billing.
"""

from __future__ import annotations

from typing import Any

from chalicelib.stores.aws import code_of, is_denied
from deploy.names import Names

#: Percent of the amount, and whether it was spent or is foreseen.
NOTICES = ((80, "ACTUAL"), (100, "FORECASTED"))
NO_BILLING = "BillingViewHealthStatusException"  # nobody can be asked what the account costs


def put_budget(client: Any, names: Names, usd: float) -> str:
    """Bring the stage's budget to ``usd`` a month, told to the stage's topic: ``created``, ``updated``, ``unchanged``,
    or why there is none. An account whose owner keeps billing to himself has no budget; that stops no deployment."""
    from botocore.exceptions import ClientError, EndpointConnectionError

    try:
        return bring(client, names, usd)
    except EndpointConnectionError:
        return f"none: {names.region} has no budgets; set one where the account is billed"
    except ClientError as error:
        if not is_closed(error):
            raise
        return "none: this account may not make budgets; ask its owner to"


def bring(client: Any, names: Names, usd: float) -> str:
    wanted = {
        "BudgetName": names.base,
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": f"{usd:g}", "Unit": "USD"},
    }
    try:
        held = client.describe_budget(AccountId=names.account, BudgetName=names.base)["Budget"]
    except client.exceptions.NotFoundException:
        notices = [
            {
                "Notification": {
                    "NotificationType": kind,
                    "ComparisonOperator": "GREATER_THAN",
                    "Threshold": percent,
                    "ThresholdType": "PERCENTAGE",
                },
                "Subscribers": [{"SubscriptionType": "SNS", "Address": names.topic_arn}],
            }
            for percent, kind in NOTICES
        ]
        client.create_budget(AccountId=names.account, Budget=wanted, NotificationsWithSubscribers=notices)
        return "created"
    if float(held["BudgetLimit"]["Amount"]) == usd:
        return "unchanged"
    client.update_budget(AccountId=names.account, NewBudget=wanted)
    return "updated"


def remove_budget(client: Any, names: Names) -> bool:
    """False where there was none."""
    from botocore.exceptions import ClientError, EndpointConnectionError

    try:
        client.delete_budget(AccountId=names.account, BudgetName=names.base)
    except (client.exceptions.NotFoundException, EndpointConnectionError):
        return False
    except ClientError as error:
        if is_closed(error):
            return False
        raise
    return True


def is_closed(error: Exception) -> bool:
    """Whether the account's billing is kept from whoever asks."""
    return is_denied(error) or code_of(error) == NO_BILLING
