"""This process's connection to Google Cloud Storage: credentials, emulator, proxies, connections."""

from __future__ import annotations

import contextlib
import http.client
import os
import threading

import google.auth
import requests
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import storage  # type: ignore[import-untyped]

from pipeline.errors import UsageError
from pipeline.storage.gcs_media import Adapter, Media
from pipeline.text import redacted

EMULATOR = "STORAGE_EMULATOR_HOST"
"""Environment variable that names an emulator to be used in place of Google Cloud Storage."""

CONNECTIONS = 64
"""Number of connections that this process keeps open at most, for all its threads together."""

NO_CREDENTIALS = (
    "no Google credentials for gs://: run `gcloud auth application-default login`, "
    "or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
)
NO_EXTRA_REQUESTS = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
"""Environment variable that stops the client library from asking for each bucket's metadata in a thread of its own."""

PRODUCT_NAME = "/sys/class/dmi/id/product_name"
"""File that says "Google Compute Engine" on Google's machines."""

_clients: dict[int, tuple[storage.Client, Media | None]] = {}
_locks: dict[int, threading.Lock] = {}


def client() -> storage.Client:
    """Return this process's client; a forked child makes its own, as connections cannot be shared."""
    return _connected()[0]


def media() -> Media | None:
    """Return where this process's client gets objects' bytes; None where only the library knows how (mutual TLS)."""
    return _connected()[1]


def disconnect() -> None:
    """Close this process's connections; the next call makes new ones, with the credentials of then."""
    found = _clients.pop(os.getpid(), None)
    if found is not None:
        found[0].close()


def _connected() -> tuple[storage.Client, Media | None]:
    process = os.getpid()
    found = _clients.get(process)
    if found is None:
        with _locks.setdefault(process, threading.Lock()):
            found = _clients.get(process) or _connect()
            _clients[process] = found
    return found


def _connect() -> tuple[storage.Client, Media | None]:
    os.environ.setdefault(NO_EXTRA_REQUESTS, "true")
    if os.environ.get(EMULATOR):
        made = storage.Client(project=None, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    else:
        credentials, project = _credentials()
        made = storage.Client(project=project, credentials=credentials)
    session = made._http
    adapter = None if session.is_mtls else Adapter(pool_maxsize=CONNECTIONS)  # that of mutual TLS is the library's
    if adapter is not None:
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
    # Looking for proxies in the environment costs as much CPU as all the rest of a small read: look once.
    session.proxies.update(requests.utils.get_environ_proxies(made.api_endpoint))
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.trust_env = False
    return made, None if adapter is None else Media(made, adapter)


def _credentials() -> tuple[Credentials, str | None]:
    """Return the default credentials, or say at once that there are none, which google.auth needs 20 s for."""
    folder = os.environ.get("CLOUDSDK_CONFIG") or os.path.expanduser("~/.config/gcloud")
    login = os.path.join(folder, "application_default_credentials.json")
    if not (os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or os.path.exists(login) or on_google_cloud()):
        raise UsageError(NO_CREDENTIALS)
    try:
        return google.auth.default(scopes=storage.Client.SCOPE)
    except DefaultCredentialsError as error:
        raise UsageError(f"{NO_CREDENTIALS} ({redacted(' '.join(str(error).split()))})") from error


def on_google_cloud() -> bool:
    """Return whether this machine has a metadata server, which lends credentials."""
    if os.environ.get("NO_GCE_CHECK") == "true":
        return False
    with contextlib.suppress(OSError), open(PRODUCT_NAME, encoding="utf-8") as product:
        if product.read().startswith("Google"):
            return True
    for _ in range(2):
        server = http.client.HTTPConnection(os.environ.get("GCE_METADATA_IP", "169.254.169.254"), timeout=1)
        try:
            server.request("GET", "/", headers={"Metadata-Flavor": "Google"})
            return server.getresponse().headers.get("Metadata-Flavor") == "Google"
        except (OSError, http.client.HTTPException):
            continue
        finally:
            server.close()
    return False
