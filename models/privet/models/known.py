"""The models that come with Privet, by name: what commands, servers and devices can be asked for."""

from collections.abc import Callable, Mapping

from privet.models.hybrid import Hybrid
from privet.models.model import Model
from privet.models.plan import Plan
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.models.trending import Trending
from privet.privacy.errors import InputError

MODELS: Mapping[str, Callable[..., Model]] = {
    "hybrid": Hybrid,
    "popularity": Popularity,
    "spectral": Spectral,
    "trending": Trending,
}


def model_of(plan: Plan) -> Model:
    """The model of a plan, with the plan's hyper-parameters.

    Raises:
        InputError: It is none of these, or does not have these parameters.
    """
    if plan.model not in MODELS:
        raise InputError(
            f"This version of Privet has no model of the plan's name; it has: {_names()}."
        )
    try:
        return MODELS[plan.model](**plan.parameters)
    except (TypeError, ValueError) as error:
        raise InputError(f"The model {plan.model} does not have the plan's parameters.") from error


def model_named(name: str) -> Model:
    """A model with its default hyper-parameters.

    Raises:
        InputError: It is none of these.
    """
    if name not in MODELS:
        raise InputError(f"Unknown model {name!r}; known: {_names()}.")
    return MODELS[name]()


def _names() -> str:
    return ", ".join(sorted(MODELS))
