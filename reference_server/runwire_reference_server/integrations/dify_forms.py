"""Forms of a Dify workflow as input requests, and their answers in Dify's format."""

import hashlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from runwire_reference_server.agents import AgentError, Task, input_request
from runwire_reference_server.integrations.upstream import refused, unreachable
from runwire_reference_server.run_log.events import Event
from runwire_reference_server.run_log.runs import Principal

#: How often a form is asked whose answers Dify does not accept.
MOST_ATTEMPTS = 5

#: Answers of Dify that mean that a form was answered elsewhere or is too old; its workflow goes on without this one.
_CLOSED = frozenset({404, 409, 410, 412})
_REJECTED = frozenset({400, 422})

#: What an answer to a file input is: Dify fetches it from there.
_FILE = {"type": "string", "format": "uri"}


@dataclass(frozen=True, slots=True)
class Form:
    """A form: its text, the JSON Schema of its answer, and until when Dify takes one, in seconds of Unix time.

    `decision` names the member of an answer that says which of the form's actions is chosen.
    """

    text: str
    schema: Mapping[str, Any]
    expires_at: float | None
    decision: str
    defaults: Mapping[str, str]
    files: frozenset[str]

    def left_s(self) -> float | None:
        """Return for how long Dify takes an answer, None when it does not say."""
        return None if self.expires_at is None else self.expires_at - time.time()

    def submission(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return what Dify is sent for an answer that its schema allows."""
        known = answer.keys() & self.schema["properties"].keys() - {self.decision}
        inputs = {name: _file(answer[name]) if name in self.files else answer[name] for name in known}
        return {"inputs": dict(self.defaults) | inputs, "action": answer[self.decision]}


def form_of(definition: Mapping[str, Any]) -> Form:
    """Return the form that Dify describes; raises ValueError for one without a name or an action."""
    try:
        inputs = {str(field["output_variable_name"]): field for field in definition.get("inputs") or ()}
        actions = [{"const": action["id"], "title": action["title"]} for action in definition["user_actions"]]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("this is no form of Dify") from None
    if not actions:
        raise ValueError("a form of Dify has no action")
    given = definition.get("resolved_default_values") or {}
    files = frozenset(name for name, field in inputs.items() if str(field.get("type")).startswith("file"))
    defaults = {name: value for name, value in given.items() if name in inputs.keys() - files and value}
    decision = "action"
    while decision in inputs:
        decision = "_" + decision
    properties = {name: _schema(field, defaults.get(name)) for name, field in inputs.items()}
    schema = {
        "type": "object",
        "properties": properties | {decision: {"type": "string", "oneOf": actions}},
        "required": [*(name for name in inputs if name not in files and name not in defaults), decision],
        "additionalProperties": False,
    }
    expires_at = definition.get("expiration_time")
    until = float(expires_at) if isinstance(expires_at, int | float) else None
    return Form(str(definition.get("form_content") or ""), schema, until, decision, defaults, files)


def _schema(field: Mapping[str, Any], default: str | None) -> dict[str, Any]:
    kind = field.get("type")
    if kind == "file":
        return dict(_FILE)
    if kind == "file-list":
        most = field.get("number_limits")
        return {"type": "array", "items": dict(_FILE)} | ({"maxItems": most} if isinstance(most, int) else {})
    schema: dict[str, Any] = {"type": "string"} | ({} if default is None else {"default": default})
    source = field.get("option_source")
    options = source.get("value") if kind == "select" and isinstance(source, Mapping) else None
    if isinstance(options, Sequence) and options and all(isinstance(option, str) for option in options):
        schema["enum"] = list(options)
    return schema


def _file(address: Any) -> Any:
    if isinstance(address, list):
        return [_file(one) for one in address]
    return {"transfer_method": "remote_url", "url": address}


class DifyForms:
    """Asks what Dify's forms ask, over this protocol."""

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        """`client` holds the key of the application, `url` is where its API begins."""
        self._client = client
        self._url = url

    async def ask(self, task: Task, tokens: Sequence[str]) -> AsyncGenerator[Event]:
        """Yield a question for each form, and hand its answer to Dify; raises AgentError when nobody answers."""
        for token in tokens:
            definition = await self._call(task, "GET", token)
            if definition.status_code in _CLOSED:
                continue
            try:
                form = form_of(definition.json())
            except ValueError:
                raise AgentError("agent_error", "the workflow asks what cannot be asked here") from None
            async for event in self._ask(task, token, form):
                yield event

    async def _ask(self, task: Task, token: str, form: Form) -> AsyncGenerator[Event]:
        text = form.text
        for attempt in range(1, MOST_ATTEMPTS + 1):
            left = form.left_s()
            if left is not None and left <= 0:
                return  # the workflow goes on as its node says
            request_id = f"{hashlib.sha256(token.encode()).hexdigest()[:16]}-{attempt}"
            yield input_request(request_id, "form", text, schema=form.schema, expires_in_s=left)
            assert task.input_requests is not None  # or the worker had refused the request
            answer = await task.input_requests.answer(request_id)
            if answer.outcome != "answered":
                if left is not None and (form.left_s() or 0) <= 0:
                    return
                raise AgentError("agent_error", "nobody answered what the workflow asked")
            submitted = await self._call(task, "POST", token, form.submission(answer.data))
            if submitted.status_code not in _REJECTED:
                return
            text = f"The last answer was not accepted.\n\n{form.text}"
        raise AgentError("agent_error", "the workflow accepted no answer to what it asked")

    async def _call(
        self, task: Task, method: str, token: str, body: Mapping[str, Any] | None = None
    ) -> httpx2.Response:
        url = f"{self._url}/form/human_input/{quote(token, safe='')}"
        given = None if body is None else {**body, "user": user_of(task.key.principal)}
        try:
            response = await self._client.request(method, url, json=given)
        except httpx2.RequestError:
            raise unreachable(task) from None
        status = response.status_code
        if status not in _CLOSED and not (status in _REJECTED and method == "POST") and status != 200:
            raise refused(task, status)
        return response


def user_of(principal: Principal) -> str:
    """Return a stable name for a principal that tells Dify nothing about it."""
    return hashlib.sha256(f"{principal.issuer}\n{principal.subject}".encode()).hexdigest()[:32]
