"""This module renders templates as HTML; no other one knows Jinja2. Must not know what a page says."""

from __future__ import annotations

import base64
import functools
import hashlib

import jinja2
from markupsafe import Markup

from pipeline import formatting
from pipeline.text import LONGEST_NAME, brief, plain

SCRIPT = "page.js.j2"
"""Name of the template with the script of every page; the browser runs no other, as the page's policy has its hash."""


def render(template: str, package: str = "pipeline.report", **content: object) -> str:
    """Return a page made from a template; every value in it is escaped and safe to show.

    Templates cut long names with the filter `brief` and write numbers with those of `pipeline.formatting`.

    Args:
        template: file name; it may extend "base.html.j2", which every package finds in `pipeline.report`.
        package: the package whose `pages` folder holds the template.
        content: the template's variables; if it uses another one, jinja2.UndefinedError is raised.
    """
    environment = _environment(package)
    script = environment.get_template(SCRIPT).render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template(template).render(script=Markup(script), script_hash=digest, **content)


@functools.cache  # to compile the templates takes longer than to render a page
def _environment(package: str) -> jinja2.Environment:
    """Return what finds a package's templates, and compiles each of them once."""
    loaders = [jinja2.PackageLoader(name, "pages") for name in dict.fromkeys((package, "pipeline.report"))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        formatting.count,
        formatting.decimals,
        formatting.counted,
        formatting.percent,
        formatting.between,
        formatting.duration,
    )
    environment.filters.update({one.__name__: one for one in (*filters, formatting.moment, formatting.rate)})
    environment.filters.update(brief=_brief, place=_place)
    environment.globals["why"] = formatting.why
    return environment


def _printable(value: object) -> object:
    """Return the value that a template prints: text without control characters; HTML and other values as they are."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _brief(text: str, longest: int = LONGEST_NAME) -> str:
    """Return text of at most `longest` characters; invisible characters are written out before it is cut."""
    return brief(plain(text), longest)


def _place(key: str, longest: int = LONGEST_NAME) -> Markup:
    """Return a path of at most `longest` characters; a line may break behind each of its folders."""
    return Markup("/<wbr>").join(_brief(key, longest).split("/"))
