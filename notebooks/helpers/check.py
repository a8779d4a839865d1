"""An assertion that a reader can see: the value, and the bar that it had to pass."""

import math


def check(
    name: str, value: float, *, at_least: float | None = None, at_most: float | None = None
) -> None:
    """Assert that `value` lies within the stated bars, and print both.

    Args:
        name: what was measured, with its unit.
        value: the measured number (a 0-d tensor will do).
        at_least: the lowest value that is good enough.
        at_most: the highest value that is good enough.

    Raises:
        AssertionError: the value misses a bar, or is not a number.
        ValueError: no bar was given, or the two contradict each other.

    >>> check("adjoint error", 2e-7, at_most=1e-5)
    ✓ adjoint error: 2e-07 (at most 1e-05)
    """
    if at_least is None and at_most is None:
        raise ValueError(f"check({name!r}) needs at_least, at_most or both.")
    low = -math.inf if at_least is None else at_least
    high = math.inf if at_most is None else at_most
    if not low <= high:
        raise ValueError(f"check({name!r}): at_least={low:g} is above at_most={high:g}.")
    if at_least is None:
        bar = f"at most {high:g}"
    elif at_most is None:
        bar = f"at least {low:g}"
    else:
        bar = f"{low:g} to {high:g}"
    value = float(value)
    if not low <= value <= high:  # also false for NaN
        raise AssertionError(f"{name} is {value:.4g}, but should be {bar}.")
    print(f"✓ {name}: {value:.4g} ({bar})")
