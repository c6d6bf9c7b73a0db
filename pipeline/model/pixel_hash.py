"""The hash of an image's pixels, as the model takes them: two images of one hash are copies to the model.

Hashes are comparable under one input rule only, so the rule's id enters them. Must not know how pixels come about.
"""

from __future__ import annotations

import functools
import json
import math
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from pipeline.model.input_rule import InputSpec

HASH_BYTES = 8
"""Bytes of the hash of an image."""


@functools.lru_cache(maxsize=8)
def rule_id(spec: InputSpec) -> bytes:
    """Return the id of an input rule, 16 bytes: a hash of the fields of the rule that are not at their default.

    >>> small, large = InputSpec(28, 28, "rgb"), InputSpec(32, 32, "rgb")
    >>> rule_id(small) == rule_id(InputSpec(28, 28, "rgb")), rule_id(small) == rule_id(large), len(rule_id(small))
    (True, False, 16)
    """
    fields = json.dumps(spec.to_json(), sort_keys=True)
    return blake2b(fields.encode("utf-8"), digest_size=16).digest()


def pixel_hashes(pixels: npt.NDArray[np.uint8], rule: bytes) -> npt.NDArray[np.uint64]:
    """Return a hash of each image: 64 bits of BLAKE2b over its bytes in C order, personalized with the rule's id.

    Args:
        pixels: uint8 [n, height, width, channels].
        rule: id of the input rule that made them, see `rule_id`; 16 bytes at most.

    Returns:
        uint64 [n]; the first byte of a digest is the most significant one of its number.

    >>> black, white = np.zeros((1, 2, 2, 1), np.uint8), np.full((1, 2, 2, 1), 255, np.uint8)
    >>> [f"{number:016x}" for number in pixel_hashes(np.concatenate([black, white, black]), b"rule").tolist()]
    ['2c0330a492fb4669', 'd09fad1334588df9', '2c0330a492fb4669']
    """
    flat = np.ascontiguousarray(pixels).reshape(len(pixels), math.prod(pixels.shape[1:]))
    digests = [blake2b(image.data, digest_size=HASH_BYTES, person=rule).digest() for image in flat]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
