"""Ready-made properties: each isolates one mechanism of attention.

They read inputs by their usual names: `query (…, T, H)`, `key (…, S, H)`, `value (…, S, V)` and
`mask`, bool, broadcastable to `(…, T, S)`, True where attention is allowed.
"""

import numpy as np

from attnfuse.checking.exercise import Mismatch, Property
from attnfuse.checking.show import same


def finite(*outputs: str) -> Property:
    """No NaN, no infinity."""

    def test(attempt, case, rng):
        for name in outputs or attempt.result:
            x = np.asarray(attempt.result[name], dtype=float)
            if not np.isfinite(x).all():
                raise Mismatch(f"`{name}` holds NaN or infinite values.", got=x)

    return Property("finite", test)


def rows_sum_to_one(output: str = "weights", zero_rows: bool = False) -> Property:
    """Each row sums to 1; with `zero_rows`, a row without an allowed key sums to 0."""

    def test(attempt, case, rng):
        sums = np.asarray(attempt.result[output], dtype=float).sum(axis=-1)
        half = any(getattr(x, "dtype", None) == np.float16 for x in case.inputs.values())
        right = np.isclose(sums, 1, atol=2e-3 if half else 1e-5)  # float16 has three digits
        if zero_rows:
            right |= np.isclose(sums, 0, atol=1e-12)
        if not right.all():
            wrong = ", ".join(f"{x:.6g}" for x in sums[~right][:4])
            raise Mismatch(
                f"Each row of `{output}` must sum to 1 over the keys; yours sum to {wrong}."
            )

    return Property("rows sum to 1", test)


def not_negative(output: str = "weights") -> Property:
    def test(attempt, case, rng):
        if (np.asarray(attempt.result[output]) < 0).any():
            raise Mismatch(f"`{output}` holds negative values.", got=attempt.result[output])

    return Property("not negative", test)


def key_order_is_irrelevant(output: str = "context", tolerance: float = 1e-5) -> Property:
    """Permuting keys, values and the mask's columns together changes nothing."""

    def test(attempt, case, rng):
        order = rng.permutation(case.inputs["key"].shape[-2])
        inputs = _take_keys(case.inputs, order)
        _unchanged(attempt, inputs, output, "Another order of the keys changed", tolerance)

    return Property("order of keys", test)


def batch_items_do_not_mix(output: str = "context", tolerance: float = 1e-5) -> Property:
    """Changing the last item of the batch leaves the others alone (cases with two items or more)."""

    def test(attempt, case, rng):
        batch = [n for n in ("query", "key", "value") if np.ndim(case.inputs.get(n)) == 3]
        if not batch or case.inputs[batch[0]].shape[0] < 2:
            return
        inputs = dict(case.inputs)
        for name in batch:
            inputs[name] = inputs[name].copy()
            inputs[name][-1] += 1
        got = attempt(**inputs)[output]
        if not same(attempt.result[output][:-1], got[:-1], tolerance, tolerance):
            raise Mismatch("Changing the last item of the batch changed the other items.")

    return Property("items apart", test)


def masked_equals_deleted(output: str = "context", tolerance: float = 1e-5) -> Property:
    """A key masked for every query has the same effect as no such key."""

    def test(attempt, case, rng):
        S = case.inputs["key"].shape[-2]
        if S < 2:
            return
        mask = _mask(case.inputs).copy()
        gone = int(rng.integers(S))
        mask[..., gone] = False
        with_mask = attempt(**{**case.inputs, "mask": mask})[output]
        kept = np.delete(np.arange(S), gone)
        deleted = attempt(**_take_keys({**case.inputs, "mask": mask}, kept))[output]
        if not same(deleted, with_mask, tolerance, tolerance):
            raise Mismatch(
                f"Masking key {gone} must equal deleting it.",
                deleted,
                with_mask,
                labels=("deleted", "masked"),
                inputs={**case.inputs, "mask": mask},
            )

    return Property("a masked key is as if deleted", test)


def no_leak_from_masked(output: str = "context", tolerance: float = 1e-5) -> Property:
    """Changing a masked key and its value by 1e4 moves nothing."""

    def test(attempt, case, rng):
        mask = _mask(case.inputs).copy()
        gone = int(rng.integers(mask.shape[-1]))
        mask[..., gone] = False
        inputs = {**case.inputs, "mask": mask}
        before = attempt(**inputs)[output]
        for name in ("key", "value"):
            if name in inputs:
                inputs[name] = inputs[name].copy()
                inputs[name][..., gone, :] += 1e4
        after = attempt(**inputs)[output]
        if not same(before, after, tolerance, tolerance):
            raise Mismatch(
                f"Key {gone} is masked, yet changing it by 10,000 changed `{output}`.",
                before,
                after,
                labels=("before", "after"),
                inputs={**case.inputs, "mask": mask},
            )

    return Property("masked keys", test)


def duplicating_every_key_changes_nothing(output="context", tolerance: float = 1e-5) -> Property:
    """Two copies of every key and value share each weight; the mixture stays."""

    def test(attempt, case, rng):
        twice = np.repeat(np.arange(case.inputs["key"].shape[-2]), 2)
        inputs = _take_keys(case.inputs, twice)
        _unchanged(attempt, inputs, output, "Listing every key twice changed", tolerance)

    return Property("keys listed twice", test)


def stays(
    name: str, text: str, change, output: str, part=None, tolerance: float = 1e-5
) -> Property:
    """A change of the inputs that must have no effect.

    Args:
        name: shown as `name ✓`.
        text: what was changed and what moved, one sentence.
        change: `(inputs, rng) -> inputs`, or None where the case does not allow it.
        output: what must stay.
        part: `(output) -> ` the part of it that must stay; all of it if None.
        tolerance: relative and absolute.
    """
    part = part or (lambda x: x)

    def test(attempt, case, rng):
        inputs = change(dict(case.inputs), rng)
        if inputs is None:
            return
        before, after = part(attempt.result[output]), part(attempt(**inputs)[output])
        if not same(before, after, tolerance, tolerance):
            raise Mismatch(text, before, after, labels=("before", "after"), inputs=case.inputs)

    return Property(name, test)


def last_item_apart(changed: str, output: str, tolerance: float = 1e-5) -> Property:
    """Changing `changed` in the last item of the batch leaves `output` of the others alone."""

    def change(inputs, rng):
        if len(inputs[changed]) < 2:
            return None
        inputs[changed] = inputs[changed].copy()
        inputs[changed][-1] += 1
        return inputs

    text = f"`{changed}` of the last item was changed, and `{output}` of other items changed."
    return stays("items apart", text, change, output, lambda x: x[:-1], tolerance)


def whole_numbers(output: str) -> Property:
    """Tokens are int; an empty result has no type to speak of."""

    def test(attempt, case, rng):
        tokens = np.asarray(attempt.result[output])
        if tokens.size and tokens.dtype.kind not in "iu":
            raise Mismatch(f"Tokens are int; yours have dtype {tokens.dtype}.")

    return Property("whole numbers", test)


def right_or_broken(kind: str, is_right) -> Property:
    """A test that a learner wrote, tried on a function: its verdict must be `is_right(function)`."""

    def test(attempt, case, rng):
        found, right = bool(attempt.result["verdict"]), is_right(*case.inputs.values())
        if found and not right:
            raise Mismatch(f"Your {kind} lets a broken function pass.")
        if right and not found:
            raise Mismatch(f"Your {kind} rejects a right function.")

    return Property("right or broken", test)


def each_number(output: str = "result") -> Property:
    """Where several numbers were predicted: say which is right, and never what the others should be."""

    def test(attempt, case, rng):
        right, given = attempt.expected(0)[output], attempt.result[output]
        near = np.isclose(given, right, attempt.exercise.rtol, attempt.exercise.atol)
        if not near.all():
            each = zip(given.tolist(), near, strict=True)
            told = [
                f"Number {i}, {x:.4g}: {'right' if ok else 'not yet'}."
                for i, (x, ok) in enumerate(each, 1)
            ]
            raise Mismatch(" ".join(told))

    return Property("each number", test)


def _unchanged(attempt, inputs, output, text, tolerance):
    got = attempt(**inputs)[output]
    if not same(attempt.result[output], got, tolerance, tolerance):
        raise Mismatch(
            f"{text} `{output}`.", attempt.result[output], got, labels=("before", "after")
        )


def _mask(inputs):
    shape = (*inputs["query"].shape[:-1], inputs["key"].shape[-2])
    mask = inputs.get("mask")
    return np.ones(shape, dtype=bool) if mask is None else np.broadcast_to(mask, shape)


def _take_keys(inputs, index):
    """The same inputs with keys, values and the mask's columns chosen by `index`."""
    chosen = dict(inputs)
    for name in ("key", "value"):
        if name in chosen:
            chosen[name] = chosen[name][..., index, :]
    if chosen.get("mask") is not None:
        chosen["mask"] = _mask(inputs)[..., index]
    return chosen
