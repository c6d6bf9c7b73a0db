"""Foreign text made safe to show: without control characters, without secrets, and short.

Anybody can choose the names of files, classes and features, and libraries choose their messages. Stored text stays
exact; text that a person sees goes through here. Knows no terminal and no HTML: rich and Jinja escape for those.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

LONGEST_NAME = 160
"""Characters of a name that are shown, at most."""

LONGEST_LINE = 2_000
"""Characters of an error's line that are shown, at most."""

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters that move the cursor, reorder their neighbors, show nothing, or cannot be encoded."""

_URL = re.compile(r"""(\bhttps?://)(?:[^\s/?#'"<>]*@)?([^\s?#'"<>]*)([?#][^\s'"<>]*)?""", re.IGNORECASE)
_SECRETS = re.compile(
    r"""((?:token|upload_id|client_secret|private_key|passw(?:or)?d|\bsig|signature|credential)
    (?:\s*=\s*["']?|["']\s*[=:]\s*["']?)|authorization["']?\s*[=:]\s*["']?)(?:(?:bearer|basic)\s+)?[^\s&"',;)]+""",
    re.IGNORECASE | re.VERBOSE,
)
_TOKENS = re.compile(
    r"ya29\.[\w.-]+|AIza[\w-]{30,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END|$)",
    re.DOTALL,
)
_NO_PORT = re.compile(r"(?<!:):(?!\d*$)[^:\]]*$")
_LEFT_OUT = "***"


def plain(text: str) -> str:
    r"""Return text on one line without characters that a terminal obeys or a reader cannot see.

    >>> print(plain("a\x1b[2J\u202egnp.exe\nb"))
    a\x1b[2J\u202egnp.exe\nb
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shell_word(text: str) -> str:
    r"""Return text as one word of a command, to be copied into a shell.

    Where a character cannot be seen, or a byte of a name is not UTF-8, the word is quoted as $'...': bash, zsh and ksh
    read that.

    >>> print(shell_word("night%41"), shell_word("my night"), shell_word("it's\n\udcff"))
    night%41 'my night' $'it\'s\x0a\xff'
    """
    if not _UNSEEN.search(text):
        return shlex.quote(text)
    escaped = _UNSEEN.sub(_in_bytes, text.replace("\\", "\\\\").replace("'", "\\'"))
    return f"$'{escaped}'"


def _in_bytes(found: re.Match[str]) -> str:
    how = "surrogateescape" if "\udc80" <= found[0] <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", how))


def shell_path(path: str) -> str:
    """Return a path as one word of a command, and never as one that looks like a flag.

    >>> shell_path("night"), shell_path("-night")
    ('night', './-night')
    """
    return shell_word(f"./{path}" if path.startswith("-") else path)


def shell_command(words: Iterable[str]) -> str:
    """Return words as a command, to be copied into a shell.

    >>> shell_command(["nightscore", "verify", "my night"])
    "nightscore verify 'my night'"
    """
    return " ".join(map(shell_word, words))


def brief(text: str, longest: int = LONGEST_NAME) -> str:
    """Return text of at most `longest` characters, cut in its middle, as a name's end tells as much as its start.

    >>> brief("a" * 90 + ".png", 20)
    'aaaaaaaaaa…aaaaa.png'
    """
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return f"{text[: longest - 1 - end]}…{text[-end:]}"


def address(url: str) -> str:
    """Return a URL's scheme, host and path. The rest, behind "?" or before "@", may be a secret.

    >>> address("https://ann:pw@host/a.png?X-Goog-Signature=0f"), address("s3://bucket/a.png")
    ('https://host/a.png', 's3://bucket/a.png')
    """
    scheme, _, rest = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")
    host, slash, path = rest.partition("/")
    host = _NO_PORT.sub("", host.rpartition("@")[2])  # half of a password, if that has a "?" in it
    return f"{scheme}://{host}{slash}{path}"


def redacted(text: str) -> str:
    """Return text without the queries of web addresses, and without what looks like a token or a password.

    >>> redacted("403 POST https://host/o?upload_id=AB: no; Authorization: Bearer x.y")
    '403 POST https://host/o: no; Authorization: ***'
    """
    text = _URL.sub(lambda found: address(found[0]) + (":" if (found[3] or "").endswith(":") else ""), text)
    return _TOKENS.sub(_LEFT_OUT, _SECRETS.sub(rf"\1{_LEFT_OUT}", text))


def line(text: str) -> str:
    """Return an error's text, or a library's, as the one line that a person sees."""
    return brief(plain(redacted(text)), LONGEST_LINE)


def lines(text: str) -> str:
    """Return an error's text of several lines, such as a traceback, as a person sees it."""
    return "\n".join(map(line, redacted(text).split("\n")))
