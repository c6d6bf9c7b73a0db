"""What is shown: no control characters, no secrets, bounded."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WriteImages
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.cli import score
from pipeline.cli.quiet import LogFormatter
from pipeline.errors import NightscoreError, TransientError, UsageError
from pipeline.storage.gcs import GcsStore
from pipeline.text import LONGEST_LINE, address, brief, line, plain, redacted

SECRET = "0fSECRET"
LEAKS = [
    f"https://storage.googleapis.com/b/a.png?X-Goog-Algorithm=GOOG4&X-Goog-Signature={SECRET}",
    f"403 POST https://host/upload/b/o?uploadType=resumable&upload_id={SECRET}: Forbidden",
    f"HTTPS://ann:{SECRET}@host:443/path",
    f"https://ann:a@{SECRET}@host/path",
    f"HTTPConnectionPool(host='h', port=443): Max retries exceeded with url: /o?x=1&upload_id={SECRET} (Caused by ...)",
    f"Authorization: Bearer {SECRET}",
    f"{{'Authorization': 'Basic {SECRET}=='}}",
    f'{{"access_token": "{SECRET}", "expires_in": 3599}}',
    f"access_token={SECRET}&x=1",
    f"?X-Amz-Security-Token={SECRET}",
    f"got ya29.{SECRET}",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    f"AccountKey?sig={SECRET}",
    f"password = '{SECRET}'",
]


@pytest.mark.parametrize("text", LEAKS)
def test_secrets_are_left_out_and_the_rest_stays(text: str) -> None:
    assert SECRET not in redacted(text)
    assert SECRET not in line(text)
    start = text.split("?")[0].split("@")[0]
    assert redacted(text)[:4].lower() == start[:4].lower() or "***" in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "gs://bucket/photos/img?.png#17 is gone",
        "'/data/50% off?a=b.png' does not exist; see --image_key",
        "HTTP 503 at 'gs://b/x@y/z.png'",
        "signature: serving_default; design=3; key=4",
        "see https://www.tensorflow.org/a/b.",
        "12 tokens: 3",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@given(st.text(), st.integers(5, 50))
def test_any_text_can_be_shown(text: str, longest: int) -> None:
    assert len(brief(text, longest)) <= longest
    shown = line(text)
    assert len(shown) <= LONGEST_LINE
    assert "\n" not in shown
    shown.encode()
    assert plain(shown) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://key:secret@bucket/a?versionId=3", "s3://bucket/a"),
        ("https://u:p?w@host/a", "https://u"),
        ("http://[::1]:8080/a#b", "http://[::1]:8080/a"),
        ("https://host", "https://host"),
    ],
)
def test_address_is_host_and_path(url: str, shown: str) -> None:
    assert address(url) == shown


@pytest.mark.parametrize("option", ["--input", "--model", "--output"])
@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"https://h/a.png?X-Goog-Signature={SECRET}", "nor a path on disk"),
        (f"s3://ann:{SECRET}@b/c?token={SECRET}", "was given with a user or a password"),
        (f"gs://ann:{SECRET}@b/c", "was given with a user or a password"),
    ],
)
def test_signed_addresses_in_options_are_refused_without_their_secret(
    option: str,
    url: str,
    why: str,
    tiny_model: str,
    write_images: WriteImages,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = {"--input": str(write_images(2)), "--model": tiny_model, "--output": str(tmp_path / "o"), option: url}
    before = list(tmp_path.glob("**/*"))
    assert score.main([word for pair in arguments.items() for word in pair]) == 2
    shown = capsys.readouterr()
    assert why in shown.err
    assert SECRET not in shown.out + shown.err
    assert list(tmp_path.glob("**/*")) == before


def test_signed_addresses_in_a_list_are_refused_without_their_secret(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'https://h/a\.png' is neither") as caught:
        storage.absolute(f"https://ann:pw@h/a.png?sig={SECRET}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("status", [400, 403, 409, 503])
def test_errors_of_the_cloud_are_told_without_signed_urls(
    emulator: object, gcs_bucket: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    message = f"POST https://ann:{SECRET}@host/o?upload_id={SECRET}&access_token={SECRET} refused"
    emulator.fail("/", status=status, times=1000, message=message)  # type: ignore[attr-defined]
    store = GcsStore(retry_seconds=0.05)
    calls = (
        lambda: store.read(f"{gcs_bucket}/a"),
        lambda: store.create(f"{gcs_bucket}/a", b"x"),
        lambda: store.replace(f"{gcs_bucket}/a", b"x" * (9 << 20)),
        lambda: list(store.list(f"{gcs_bucket}/a*")),
        lambda: store.delete(f"{gcs_bucket}/a"),
    )
    for call in calls:
        with pytest.raises((NightscoreError, OSError)) as caught:
            call()
        assert SECRET not in f"{caught.value} {caught.value.args}"
        assert isinstance(caught.value, TransientError) == (status == 503)
    shown = [LogFormatter().format(record) for record in caplog.records if record.levelno >= logging.WARNING]
    assert SECRET not in " ".join(shown)


def test_logs_and_crashes_are_shown_without_secrets_and_control_characters(tmp_path: Path) -> None:
    program = (
        "import logging, sys; from pipeline.cli.quiet import tame_streams; tame_streams('%(levelname)s %(message)s');"
        "logging.getLogger('urllib3').warning('Retrying: /o?upload_id=%s \\x1b[2J', sys.argv[1]);"
        "logging.getLogger('google.auth').debug('Authorization: Bearer %s', sys.argv[1]);"
        "raise KeyError('https://h/?x=' + sys.argv[1] + '\\x1b[2J')"
    )
    done = subprocess.run([sys.executable, "-c", program, SECRET], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("WARNING Retrying: /o?upload_id=*** \\x1b[2J\nTraceback (most recent call last)")
    assert "KeyError" in done.stderr
    assert SECRET not in done.stderr
    assert "\x1b" not in done.stderr
