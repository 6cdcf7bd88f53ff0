"""Routes of the user's rights, and of a place in a federation."""

from privet.client.rights.notice import Purpose
from privet.client.sidecar.fields import Field, Kind
from privet.client.sidecar.route import Route, flag, get, given
from privet.client.sidecar.service import Service

SENTENCES = (Field(name="sentences", kind=Kind.TEXTS, needed=True),)
_PURPOSES = Field(
    name="purposes", kind=Kind.TEXTS, needed=True, choices=tuple(str(one) for one in Purpose)
)
_SECONDS = Field(name="seconds", kind=Kind.NUMBER, least=0, most=3600, about="how long at most")
_RECEIPT = (Field(name="receipt", kind=Kind.MAYBE_OBJECT, needed=True),)
RIGHTS = (
    get(
        "/v1/consent",
        Service.consent,
        "What is agreed to now.",
        (given("agreed", Kind.TEXTS), given("opted_out", Kind.TEXTS)),
    ),
    Route(
        path="/v1/consent/grant",
        call=Service.grant,
        about="The user agrees; to contribute, to the terms that connect gave.",
        takes=(
            _PURPOSES,
            Field(name="plan_hash", about="of the terms that were shown"),
            flag("despite_gpc", "they were told of the signal, and agree nevertheless"),
        ),
        gives=_RECEIPT,
    ),
    Route(
        path="/v1/consent/withdraw",
        call=Service.withdraw,
        about="The user takes consent back.",
        takes=(_PURPOSES,),
        gives=_RECEIPT,
    ),
    get(
        "/v1/consent/receipts",
        Service.receipts,
        "All receipts, in order.",
        (given("receipts", Kind.OBJECTS),),
    ),
    Route(
        path="/v1/consent/gpc",
        call=Service.honour_gpc,
        about="Take note of Global Privacy Control; the header Sec-GPC: 1 of any request does so.",
        takes=(Field(name="signal", kind=Kind.YES_NO, needed=True),),
        gives=_RECEIPT,
    ),
    Route(
        path="/v1/opt-out",
        call=Service.opt_out,
        about="The user says no for good.",
        takes=(Field(name="scope", needed=True, choices=(*(str(one) for one in Purpose), "all")),),
        gives=_RECEIPT,
    ),
    Route(
        path="/v1/export",
        call=Service.export,
        about="Write everything to a new file, .json or .csv, in the clear.",
        takes=(Field(name="path", needed=True, about="absolute"),),
        gives=(given("written", Kind.YES_NO),),
    ),
    Route(
        path="/v1/erase",
        call=Service.erase,
        about="Erase for good: items, before a time, or all.",
        takes=(
            Field(name="items", kind=Kind.TEXTS),
            Field(name="before", kind=Kind.WHOLE, about="Unix seconds, not included"),
            flag("all"),
        ),
        gives=_RECEIPT,
    ),
)
FEDERATION = (
    Route(
        path="/v1/connect",
        call=Service.connect,
        about="Join a federation: the terms first, keys once they are agreed to. Connects nowhere.",
        takes=(Field(name="invitation", needed=True, about="the file's text, unchanged"),),
        gives=(given("state"), given("terms", Kind.OBJECT), given("request", Kind.MAYBE_TEXT)),
    ),
    Route(
        path="/v1/train-if-due",
        call=Service.train_if_due,
        about="Answer the federation's server for a while, with consent, if the moment is good.",
        takes=(
            *(flag("idle"), flag("charging"), flag("unmetered")),
            *(flag("needs_idle"), flag("needs_charging"), flag("needs_unmetered")),
            _SECONDS,
            Field(name="poll_seconds", kind=Kind.NUMBER, least=0.01, most=3600),
        ),
        gives=(given("state"), given("why"), given("steps", Kind.OBJECT)),
    ),
    Route(
        path="/v1/preview-upload",
        call=Service.preview_upload,
        about="What would leave next: the very bytes, each field with its purpose.",
        gives=(given("preview", Kind.MAYBE_OBJECT), given("why")),
    ),
    get("/v1/ledger", Service.ledger, "What left this device, in sentences.", SENTENCES),
)
