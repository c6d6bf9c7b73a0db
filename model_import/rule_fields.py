"""Which fields of an input rule decide a pixel under it. Pure."""

from __future__ import annotations

from pipeline.model.fit import WITH_CROP
from pipeline.model.input_rule import InputSpec
from pipeline.model.resize_tf import WITH_ANTIALIAS


def decides(rule: InputSpec, name: str) -> bool:
    """Return whether a field decides a pixel under a rule: another value of it would, or it is set.

    >>> rule = InputSpec(224, 224, "rgb", "bicubic")
    >>> [name for name in vars(rule) if not decides(rule, name)]
    ['crop', 'antialias', 'gray_from', 'bands', 'background']
    """
    if name == "crop":
        return rule.fit in WITH_CROP
    if name == "antialias":
        return rule.resize.removeprefix("tf.") in WITH_ANTIALIAS and rule.resize.startswith("tf.")
    if name == "gray_from":
        return rule.channels == 1
    return name not in ("bands", "background") or bool(getattr(rule, name))
