"""Numbers as a sentence writes them."""

from __future__ import annotations

from fmnist.diagnosis.finding import Estimate, Moment


def interval(moment: Moment) -> str:
    """Format where a moment may lie; an epoch that is certain has no interval."""
    return f"(90% sure: {moment.low} to {moment.high})" if moment.low < moment.high else "(90% sure)"


def loss(value: float) -> str:
    """Format a loss with three decimals, a huge one with none."""
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}" if value < 1e9 else f"{value:.1e}"


def percent(share: float, digits: int = 0) -> str:
    """Format a share; one that is small, or nearly all, does not turn into 0% or 100%."""
    digits = 1 if not digits and 0 < share < 0.095 else digits
    if share < 1 and f"{100 * share:.{digits}f}" == f"{100:.{digits}f}":
        return f"more than {100 - 10.0**-digits:.{digits}f}%"
    return f"{100 * share:.{digits}f}%"


def signed(points: float) -> str:
    """Format percentage points with their sign."""
    return f"{points:+.1f}".replace("-", "\N{MINUS SIGN}")


def points(estimate: Estimate) -> str:
    """Format percentage points with their margin."""
    return f"{estimate.value:.1f} ± {estimate.margin:.1f} percentage points".replace("-", "\N{MINUS SIGN}")


def moved(change: float) -> str:
    """Say by which share (-1 and up) something fell or rose."""
    if abs(change) < 0.0005:
        return "changed by less than 0.1%"
    return f"fell by {percent(-change)}" if change < 0 else f"rose by {percent(change)}"


def duration(seconds: float) -> str:
    """Format a time in seconds, minutes or hours."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
