"""Templates to HTML: the one place that knows Jinja2. Must not know what a page says."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from pipeline.text import brief, plain


def render(template: str, package: str = "pipeline", **content: object) -> str:
    """Return a page from the `pages` folder of a package, every value in it escaped, and fit to be shown.

    Templates cut long names with the filter `brief`.

    Args:
        template: file name; it may extend "base.html.j2", which every package finds in `pipeline`.
        package: the package whose `pages` folder holds the template.
        content: the template's variables; one that it names and is not here raises jinja2.UndefinedError.
    """
    loaders = [jinja2.PackageLoader(name, "pages") for name in dict.fromkeys((package, "pipeline"))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["brief"] = brief
    return environment.get_template(template).render(content)


def _shown(value: object) -> object:
    """Return what a template prints: text as one can read it; what is HTML, or no text, as it is."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
