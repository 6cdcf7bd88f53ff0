"""The egress policy's TOML file: strict reading, and one spelling in writing.

Comments, order of keys and spacing are free, since the hash is of the policy and not of its text.
Unknown keys, wrong types, a field named twice and values that no field can have are refused.
"""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from privet.privacy.accounting.adversaries import Adversary
from privet.privacy.errors import InputError
from privet.privacy.minimization.policy import (
    POLICY_VERSION,
    EgressPolicy,
    FieldRule,
    FieldType,
)

MAX_CHARACTERS = 1 << 16
_TOP = {"version": int, "plan_hash": str, "field": list}
_FIELD = {
    "name": str,
    "type": str,
    "bits": int,
    "purpose": str,
    "mechanism": str,
    "retention": str,
    "adversaries": list,
    "words": list,
    "shape": dict,
}
_OPTIONAL = {"plan_hash", "field", "words"}


def write_policy(policy: EgressPolicy) -> str:
    """A policy as TOML; `read_policy` gives it back."""
    lines = [f"version = {POLICY_VERSION}", f"plan_hash = {_quoted(policy.plan_hash)}"]
    for rule in policy.rules:
        lines += [
            "",
            "[[field]]",
            f"name = {_quoted(rule.field)}",
            f"type = {_quoted(rule.type)}",
            f"bits = {rule.bits}",
            f"purpose = {_quoted(rule.purpose)}",
            f"mechanism = {_quoted(rule.mechanism)}",
            f"retention = {_quoted(rule.retention)}",
            f"adversaries = [{', '.join(map(_quoted, rule.adversaries))}]",
        ]
        if rule.words:
            lines.append(f"words = [{', '.join(map(_quoted, rule.words))}]")
        lines.append("[field.shape]")
        lines += [
            f"{_quoted(step)} = [{', '.join(map(str, shape))}]"
            for step, shape in rule.shapes.items()
        ]
    return "\n".join(lines) + "\n"


def read_policy(text: str) -> EgressPolicy:
    """A policy from TOML.

    Raises:
        InputError: It is too long, not TOML or not a policy.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"An egress policy has at most {MAX_CHARACTERS} characters.")
    try:
        body = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"Expected an egress policy in TOML: {reason[:200]}.") from None
    _check_keys(body, _TOP, "the policy")
    if body["version"] != POLICY_VERSION:
        raise InputError(f"Expected version {POLICY_VERSION} of the egress policy, found another.")
    rules = tuple(_rule(table) for table in body.get("field", []))
    return EgressPolicy(rules=rules, plan_hash=body.get("plan_hash", ""))


def _rule(table: object) -> FieldRule:
    if not isinstance(table, dict):
        raise InputError("Expected each field of an egress policy to be a table.")
    _check_keys(table, _FIELD, "a field")
    return FieldRule(
        field=table["name"],
        type=FieldType(_one_of(table["type"], FieldType, "type")),
        shapes={step: _shape(shape) for step, shape in table["shape"].items()},
        bits=table["bits"],
        purpose=table["purpose"],
        mechanism=table["mechanism"],
        retention=table["retention"],
        adversaries=tuple(
            Adversary(_one_of(found, Adversary, "adversary")) for found in table["adversaries"]
        ),
        words=tuple(table.get("words", ())),
    )


def _check_keys(table: Mapping[str, Any], allowed: Mapping[str, type], where: str) -> None:
    for key, value in table.items():
        if key not in allowed:
            raise InputError(f"Unknown key {key[:60]!r} in {where} of an egress policy.")
        if type(value) is not allowed[key]:  # exact: a boolean is an integer to isinstance
            raise InputError(f"Expected {key} in {where} to be of type {allowed[key].__name__}.")
    missing = [key for key in allowed if key not in table and key not in _OPTIONAL]
    if missing:
        raise InputError(f"Missing in {where} of an egress policy: {', '.join(missing)}.")


def _one_of(found: object, known: type[FieldType] | type[Adversary], name: str) -> str:
    names = [str(member) for member in known]
    if found not in names:
        raise InputError(f"Unknown {name} in an egress policy; there are {', '.join(names)}.")
    return str(found)


def _shape(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, list):
        raise InputError("Expected a shape in an egress policy to be a list of integers.")
    return tuple(shape)


def _quoted(text: str) -> str:
    # Policies hold printable text only, for which a JSON string is a TOML basic string.
    return json.dumps(str(text), ensure_ascii=False)
