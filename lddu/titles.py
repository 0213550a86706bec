"""How networks and baselines are called where people read of them: in pictures and on the page."""

BASELINES = {"prior": "label prior", "centre": "LDDU with μ alone", "joined": "probe on all joined", "mlp": "MLP on all joined"}


def title_of(baseline: str) -> str:
    """Of a key of the metrics' `baselines`; any other is a probe on one modality."""
    return BASELINES.get(baseline, f"probe on {baseline}")
