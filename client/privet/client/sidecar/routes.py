"""The table of routes: what is dispatched, and what the OpenAPI document is made from."""

from privet.client.controls import Feedback
from privet.client.learning.situation import Mode
from privet.client.profile.questions import Answer as Said
from privet.client.sidecar.fields import Field, Kind
from privet.client.sidecar.rights_routes import FEDERATION, RIGHTS, SENTENCES
from privet.client.sidecar.route import Route, flag, get, given
from privet.client.sidecar.service import Service

DOCUMENT = "/openapi.json"
"""Where the description is; made from the table, so not in it."""

_K = Field(name="k", kind=Kind.WHOLE, least=0, most=10_000, about="how many")
_ITEM = Field(name="item", needed=True, about="identifier of an item")
_CONTEXT = Field(name="context", kind=Kind.OBJECT, about="of the moment")
_VALUE = Field(name="value", kind=Kind.NUMBER, about="strength or rating")
_TOPIC = Field(name="topic", about="a category")
_KEPT = (Field(name="kept", needed=True),)
_HITS = Field(name="hits", kind=Kind.OBJECTS, needed=True)


_LISTS = (
    Route(
        path="/v1/recommend",
        call=Service.recommend,
        about="A list for this user, best first.",
        takes=(
            _K,
            _CONTEXT,
            Field(name="query", about="in plain words"),
            Field(name="mode", choices=tuple(str(one) for one in Mode)),
            Field(name="diversity", kind=Kind.NUMBER, least=0, most=1),
            flag("exclude_seen"),
        ),
        gives=(given("list"), given("items", Kind.OBJECTS)),
    ),
    Route(
        path="/v1/explain",
        call=Service.explain,
        about="Why an item is in its list, or what its score is made of now.",
        takes=(_ITEM, Field(name="list", about="of the item, as recommend named it")),
        gives=(
            *(given("item"), given("title"), given("score", Kind.NUMBER)),
            *(given("reasons", Kind.OBJECTS), given("text")),
        ),
    ),
    Route(
        path="/v1/search",
        call=Service.search,
        about="What fits a query best. Nothing is recorded.",
        takes=(Field(name="query", needed=True), _K),
        gives=(
            _HITS,
            given("understood"),
            given("unknown", Kind.TEXTS),
            given("unused", Kind.TEXTS),
        ),
    ),
    Route(
        path="/v1/similar",
        call=Service.similar,
        about="The items that are most like one of them.",
        takes=(_ITEM, _K),
        gives=(_HITS,),
    ),
    get(
        "/v1/main-parameters",
        Service.main_parameters,
        "What matters most in the lists.",
        SENTENCES,
    ),
)
_HISTORY = (
    Route(
        path="/v1/record",
        call=Service.record,
        about="Record what the user did; it is on the disk when this is answered.",
        takes=(
            Field(name="kind", needed=True, about="view, like, rate, ..."),
            Field(name="item", about="identifier of an item"),
            _VALUE,
            Field(name="time", kind=Kind.WHOLE, about="Unix seconds; now if not given"),
            _CONTEXT,
        ),
        gives=_KEPT,
    ),
    Route(
        path="/v1/impressions",
        call=Service.impressions,
        about="Note what was shown; on the disk with the next record or flush.",
        takes=(Field(name="items", kind=Kind.TEXTS, needed=True), _CONTEXT),
        gives=_KEPT,
    ),
    Route(
        path="/v1/review",
        call=Service.review,
        about="Record what a review of the user's says; the text is not kept.",
        takes=(_ITEM, Field(name="text", needed=True), _VALUE),
        gives=_KEPT,
    ),
    Route(
        path="/v1/feedback",
        call=Service.feedback,
        about="Follow what the user says of an item or a topic.",
        takes=(
            Field(name="said", needed=True, choices=tuple(str(one) for one in Feedback)),
            Field(name="item", about="identifier of an item"),
            _TOPIC,
        ),
        gives=_KEPT,
    ),
    Route(
        path="/v1/flush",
        call=Service.flush,
        about="Put on the disk what waits.",
        gives=(given("flushed", Kind.YES_NO),),
    ),
)
_PROFILE = (
    Route(
        path="/v1/profile",
        call=Service.profile,
        about="What is thought of the user, each part told or inferred.",
        takes=(_CONTEXT,),
        gives=(
            *(given(n, Kind.OBJECTS) for n in ("topics", "liked", "disliked", "customs")),
            *(given("answers", Kind.OBJECTS), given("shows_inferred", Kind.YES_NO)),
        ),
    ),
    Route(
        path="/v1/profile/edit",
        call=Service.edit_profile,
        about="Correct the profile; one edit a request.",
        takes=(
            *(_TOPIC, Field(name="weight", kind=Kind.NUMBER, least=-1, most=1)),
            *(flag("locked"), flag("remove"), flag("undo"), flag("inferred")),
        ),
        gives=_KEPT,
    ),
    Route(
        path="/v1/ask",
        call=Service.ask,
        about="The question whose answer is worth most now, if one is.",
        takes=(_CONTEXT,),
        gives=(given("asking", Kind.MAYBE_OBJECT),),
    ),
    Route(
        path="/v1/answer",
        call=Service.answer,
        about="Keep what the user said to a question.",
        takes=(
            Field(name="asking", needed=True, about="the question's name"),
            Field(name="answer", needed=True, choices=tuple(str(one) for one in Said)),
        ),
        gives=_KEPT,
    ),
)
ROUTES = (
    get("/v1/health", Service.health, "That somebody is here.", (given("status"),)),
    *_HISTORY,
    *_LISTS,
    *_PROFILE,
    *RIGHTS,
    *FEDERATION,
)
"""All routes but the description's."""
