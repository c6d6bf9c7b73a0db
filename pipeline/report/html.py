"""Templates to HTML: the one place that knows Jinja2. Must not know what a page says."""

from __future__ import annotations

import base64
import hashlib

import jinja2
from markupsafe import Markup

from pipeline import formatting
from pipeline.text import LONGEST_NAME, brief, plain

SCRIPT = "page.js.j2"
"""The one script of every page. The browser runs it, and no other: the page's policy names its hash."""


def render(template: str, package: str = "pipeline.report", **content: object) -> str:
    """Return a page from the `pages` folder of a package, every value in it escaped, and fit to be shown.

    Templates cut long names with the filter `brief` and write numbers with those of `pipeline.formatting`.

    Args:
        template: file name; it may extend "base.html.j2", which every package finds in `pipeline.report`.
        package: the package whose `pages` folder holds the template.
        content: the template's variables; one that it names and is not here raises jinja2.UndefinedError.
    """
    loaders = [jinja2.PackageLoader(name, "pages") for name in dict.fromkeys((package, "pipeline.report"))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (formatting.count, formatting.counted, formatting.percent, formatting.between, formatting.duration)
    environment.filters.update({word.__name__: word for word in (*words, formatting.moment, formatting.rate)})
    environment.filters.update(brief=_brief, place=_place)
    environment.globals["why"] = formatting.why
    script = environment.get_template(SCRIPT).render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template(template).render(script=Markup(script), script_hash=digest, **content)


def _shown(value: object) -> object:
    """Return what a template prints: text as one can read it; what is HTML, or no text, as it is."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _brief(text: str, longest: int = LONGEST_NAME) -> str:
    """Return text that is as short as it is shown: what cannot be seen is written out before it is cut."""
    return brief(plain(text), longest)


def _place(key: str, longest: int = LONGEST_NAME) -> Markup:
    """Return a path as short, that a line may break behind each of its folders."""
    return Markup("/<wbr>").join(_brief(key, longest).split("/"))
