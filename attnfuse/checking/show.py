"""Compare and print whatever an answer takes and returns."""

import numpy as np

from attnfuse.driving.values import NUMBERS, Handle, to_output


def same(a, b, rtol: float, atol: float) -> bool:
    """Equal in type, shape and, within the tolerance, in value. NaN equals NaN."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], rtol, atol) for k in a)
    a, b = to_output(a), to_output(b)
    if _numeric(a) and _numeric(b):
        if a.shape != b.shape or (a.dtype.kind == "b") != (b.dtype.kind == "b"):
            return False
        return bool(np.allclose(b, a, rtol=rtol, atol=atol, equal_nan=True))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y, rtol, atol) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    try:
        return bool(a == b)
    except Exception:
        return False


def _numeric(x) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in NUMBERS


def show(name: str, x, digits: int = 3, lines: int = 8) -> str:
    """`name (shape) = values` on a few lines, indented, small numbers of digits."""
    if isinstance(x, np.ndarray) and x.ndim:
        shape = f" {x.shape}"
        text = np.array2string(
            x, precision=digits, suppress_small=_moderate(x), threshold=60, edgeitems=2
        )
    elif isinstance(x, np.ndarray | np.generic | float):
        number = np.asarray(x)
        shape, text = "", f"{number.item():.{digits + 3}g}" if number.dtype.kind == "f" else str(x)
    elif isinstance(x, Handle):
        shape, text = "", x.name
    elif callable(x):
        shape, text = "", getattr(x, "__name__", type(x).__name__)
    else:
        shape, text = "", _repr(x)
    rows = text.splitlines() or [""]
    if len(rows) > lines:
        rows = [*rows[: lines - 2], " ⋮", rows[-1]]
    if len(rows) == 1:
        return f"  {name}{shape} = {rows[0]}"
    return "\n".join([f"  {name}{shape} ="] + [f"    {row}" for row in rows])


def show_both(labels: tuple[str, str], expected, got) -> list[str]:
    """Two values under their labels, None left out, with as many digits as it takes to tell them apart."""
    for digits in (3, 6, 12):
        texts = [show("", x, digits) for x in (expected, got) if x is not None]
        if len(set(texts)) == len(texts):
            break
    named = zip(labels, (expected, got), strict=True)
    return [show(name, x, digits) for name, x in named if x is not None]


def _moderate(x) -> bool:
    if x.dtype.kind != "f" or not x.size:
        return True
    biggest = float(np.max(np.abs(x), initial=0, where=np.isfinite(x)))  # 1e5 overflows a float16
    return bool(1e-3 < biggest < 1e5)


def _repr(x) -> str:
    try:
        text = repr(x)
    except Exception:
        text = f"a {type(x).__name__} that cannot be printed"
    return text if len(text) <= 400 else text[:400] + " …"
