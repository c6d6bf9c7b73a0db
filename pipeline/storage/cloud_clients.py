"""This process's connections to S3 and Azure Blob Storage: credentials, endpoints, timeouts."""

from __future__ import annotations

import configparser
import contextlib
import http.client
import os
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.store import AzureStore, S3Store

from pipeline.errors import UsageError
from pipeline.storage.locations import S3

SILENCE = 60.0
"""Seconds that a server may stay silent before its connection counts as broken."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Environment variables that name a store that speaks like S3; the first that is set counts."""

NO_S3_CREDENTIALS = (
    "no credentials for s3://: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile with keys, "
    "or AWS_SKIP_SIGNATURE=true for a public bucket; for single sign-on: "
    'eval "$(aws configure export-credentials --format env)"'
)
NO_AZURE_CREDENTIALS = (
    "no credentials for az://: set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY; "
    "or AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID; or AZURE_USE_AZURE_CLI=true after `az login`"
)
_S3_IDENTITIES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_AZURE_IDENTITIES = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_AZURE_CLI",
    "AZURE_SKIP_SIGNATURE",
    "AZURE_STORAGE_USE_EMULATOR",
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
)
AZURE_TAG, AZURE_MACHINE = "/sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"
"""A file, and what it says on Azure's machines, which have a server that lends credentials."""

_clients: dict[tuple[int, str, str, float], Any] = {}
_lock = threading.Lock()


def client(scheme: str, bucket: str, retry_seconds: float) -> Any:
    """Return this process's client of a bucket or container, which tries again for so many seconds.

    Raises:
        UsageError: there are no credentials, or the environment holds something that cannot be.
    """
    key = (os.getpid(), scheme, bucket, retry_seconds)
    found = _clients.get(key)
    if found is None:
        with _lock:
            found = _clients.get(key) or _connect(scheme, bucket, retry_seconds)
            _clients[key] = found
    return found


def disconnect() -> None:
    """Forget all clients; the next call makes new ones, with the credentials of then."""
    _clients.clear()


def _connect(scheme: str, bucket: str, retry_seconds: float) -> Any:
    retry: Any = {
        "max_retries": 10 if retry_seconds else 0,
        "retry_timeout": timedelta(seconds=retry_seconds),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
    }
    options: Any = {"timeout": timedelta(hours=1), "read_timeout": timedelta(seconds=SILENCE)}
    make = _s3 if scheme == S3 else _azure
    try:
        return make(bucket, options, retry)
    except UsageError:
        raise
    except Exception as error:
        text = str(error).partition("\n\nDebug source")[0]
        what = f"{scheme}{bucket} cannot be opened with the settings in your environment variables"
        raise UsageError(f"{what}: {' '.join(text.split())}") from error


def _s3(bucket: str, options: dict[str, Any], retry: Any) -> S3Store:
    config: dict[str, Any] = {"disable_bulk_delete": True}  # one object, one answer
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
    if endpoint:
        config["endpoint"] = endpoint
        options["allow_http"] = endpoint.startswith("http://")
    if not any(os.environ.get(name) for name in _S3_IDENTITIES):
        profile = _profile()
        if not (profile.get("access_key_id") or _lends_credentials()):
            raise UsageError(NO_S3_CREDENTIALS)
        config |= profile
    return S3Store(bucket, config=config, client_options=options, retry_config=retry)  # type: ignore[arg-type]


def _azure(container: str, options: dict[str, Any], retry: Any) -> AzureStore:
    if not any(os.environ.get(name) for name in _AZURE_IDENTITIES) and not _is_azure_machine():
        raise UsageError(NO_AZURE_CREDENTIALS)
    endpoint = os.environ.get("AZURE_STORAGE_ENDPOINT") or os.environ.get("AZURE_ENDPOINT") or ""
    options["allow_http"] = endpoint.startswith("http://") or bool(os.environ.get("AZURE_STORAGE_USE_EMULATOR"))
    return AzureStore(container, client_options=options, retry_config=retry)  # type: ignore[arg-type]


def _profile() -> dict[str, str]:
    """Return the keys and the region of AWS_PROFILE (or "default"), as the AWS command line stores them."""
    name = os.environ.get("AWS_PROFILE") or "default"
    files = configparser.RawConfigParser()
    config = os.environ.get("AWS_CONFIG_FILE") or os.path.expanduser("~/.aws/config")
    shared = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.expanduser("~/.aws/credentials")
    try:
        files.read([config, shared], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{shared!r} or {config!r} cannot be read as the AWS command line writes them") from error
    found: dict[str, str] = {}
    for section in (f"profile {name}", name):
        if files.has_section(section):
            found |= dict(files.items(section))
    wanted = {"access_key_id": "aws_access_key_id", "secret_access_key": "aws_secret_access_key"}
    wanted |= {"session_token": "aws_session_token", "region": "region"}
    keys = {name: found[key] for name, key in wanted.items() if found.get(key)}
    if os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        keys.pop("region", None)
    return keys


def _lends_credentials() -> bool:
    """Return whether this machine has Amazon's metadata server; asked for a second, as obstore would ask for long."""
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    address = os.environ.get("AWS_METADATA_ENDPOINT") or "http://169.254.169.254"
    server = http.client.HTTPConnection(urlsplit(address).netloc, timeout=1)
    try:
        server.request("PUT", "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        return server.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        server.close()


def _is_azure_machine() -> bool:
    with contextlib.suppress(OSError), open(AZURE_TAG, encoding="utf-8") as tag:
        return tag.read().strip() == AZURE_MACHINE
    return False
