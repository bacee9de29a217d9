"""Stores of objects and of secrets: a folder, or AWS. Which it is, the settings say."""

from __future__ import annotations

from pathlib import Path

from chalicelib.errors import InvalidSetting
from chalicelib.lake import Lake
from chalicelib.secrets import SecretStore
from chalicelib.settings import Settings


def open_lake(settings: Settings) -> Lake:
    """The lake that ``LAKE_URL`` names. Opens no connection and creates nothing."""
    if settings.on_aws:
        from chalicelib.stores.s3 import BucketStore

        return Lake(BucketStore(settings.bucket, settings.prefix))
    from chalicelib.files import READERS
    from chalicelib.stores.folder import FolderStore

    return Lake(FolderStore(Path(settings.lake_url), READERS[settings.lake_readers]))


def open_secrets(settings: Settings) -> SecretStore:
    """The store that ``SECRETS_URL`` names. Opens no connection and creates nothing."""
    url = settings.secrets_url
    if url.startswith(("secretsmanager:", "ssm:")):
        from chalicelib.stores.secrets_aws import open_aws_secrets

        return open_aws_secrets(url)
    if "://" in url:
        raise InvalidSetting(f"SECRETS_URL={url!r} must be a folder, secretsmanager:NAME or ssm:/NAME")
    from chalicelib.stores.secrets_folder import SecretFolder

    return SecretFolder(Path(url))
