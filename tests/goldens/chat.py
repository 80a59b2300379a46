"""chat.json: what transformers' apply_chat_template makes of chats.

    python chat.py QWEN3_FOLDER

Qwen3's own template is not committed: tests take it from the npm package that README.md names. The others are written
here with what published templates use: macros, namespaces, dates, exceptions, tools, loops that stop.
"""

import argparse
import datetime
import json
import pathlib

from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent
DATE = datetime.datetime(2025, 8, 5, 9, 7, 3)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return DATE


chat_template_utils.datetime = Clock

INSTRUCT = """\
{{ bos_token }}{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if message['role'] == 'user' %}
{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}
{{ ' ' + message['content'].strip() + eos_token }}
{%- else %}
{{ raise_exception('only user and assistant roles are supported') }}
{% endif %}
{% endfor %}
"""

ROLES = """\
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set system = 'Today is ' + strftime_now('%B %d, %Y') + '.' %}
    {%- if tools %}{% set system = system ~ ' Tools are at hand.' %}{% endif %}
    {%- set rest = messages %}
{%- endif %}
{{- '<|role|>system<|/role|>' + system + eos_token + '\\n' }}
{%- if tools %}
    {{- '<|role|>tools<|/role|>' + tools | tojson(indent=4) + eos_token + '\\n' }}
{%- endif %}
{%- for message in rest if message.role != 'note' %}
    {%- if loop.index0 >= 6 %}{% break %}{% endif %}
    {{- '<|role|>' ~ message.role ~ '<|/role|>' ~ message.content ~ eos_token ~ '\\n' }}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|role|>assistant' + (' ' ~ controls | tojson if controls is defined else '') + '<|/role|>' }}
    {%- endif %}
{%- endfor %}
"""

CHANNELS = """\
{%- macro type_of(spec, required=[]) -%}
    {%- if spec.type == 'array' -%}{{ type_of(spec['items']) + '[]' }}
    {%- elif spec.type is defined and spec.type is iterable and spec.type is not string and spec.type is not mapping and spec.type[0] is defined -%}{{ spec.type | join(' | ') if spec.type | length > 1 else spec.type[0] }}
    {%- elif spec.enum -%}{{ '"' + spec.enum | join('" | "') + '"' }}
    {%- elif spec.type == 'object' and spec.properties -%}
        {{- '{' }}{% for name, inner in spec.properties.items() %}{{ name }}{{ '' if name in (spec.required or []) else '?' }}: {{ type_of(inner) }}{{ '' if loop.last else ', ' }}{% endfor %}{{ '}' -}}
    {%- else -%}{{ spec.type or 'any' }}{%- endif -%}
{%- endmacro -%}
{{- '<|start|>system<|message|>Current date: ' + strftime_now('%Y-%m-%d') + '\\n\\nReasoning: ' + (reasoning_effort | default('medium')) }}
{%- if tools %}
    {{- '\\nnamespace functions {\\n' }}
    {%- for tool in tools %}{% set tool = tool.function %}
        {{- '// ' + tool.description | replace('\\n', ' ') + '\\ntype ' + tool.name + ' = (_: ' + type_of(tool.parameters) + ') => any;\\n' }}
    {%- endfor %}
    {{- '}' }}
{%- endif %}
{{- '<|end|>' }}
{%- set last = namespace(call=none, seen=0) %}
{%- for message in messages %}
    {%- set last.seen = last.seen + 1 %}
    {%- if message.tool_calls is defined and message.tool_calls %}
        {%- set call = message.tool_calls[0].function %}
        {%- set later = namespace(found=false) %}
        {%- for next in messages[loop.index:] if next.role == 'assistant' and 'tool_calls' not in next %}{% set later.found = true %}{% endfor %}
        {%- if 'content' in message and message.content and not later.found %}{{ '<|start|>assistant<|channel|>analysis<|message|>' + message.content + '<|end|>' }}{% endif %}
        {%- set last.call = call.name %}
        {{- '<|start|>assistant<|channel|>commentary to=functions.' ~ call.name ~ '<|message|>' ~ call.arguments | tojson ~ '<|call|>' }}
    {%- elif message.role == 'tool' %}
        {%- if last.call is none %}{{ raise_exception('a tool message without a call before it') }}{% endif %}
        {{- '<|start|>functions.' ~ last.call ~ ' to=assistant<|channel|>commentary<|message|>' ~ message.content | tojson ~ '<|end|>' }}
    {%- else %}
        {{- '<|start|>' ~ message.role ~ '<|message|>' ~ (message.content if message.content is string else message.content | map(attribute='text') | join('\\n')) ~ '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}
"""

PYTHON = """\
{%- for m in messages -%}
{{ m.content.strip('-x') }}|{{ m.content.lstrip('\\n') }}|{{ m.content.rstrip() }}|{{ m.content.split(' ')[0] }}|{{ m.content.startswith('--') }}|{{ m.content[-3:] }}|{{ m.content | length }}
{{ [1, 2] == [1, 2] }}|{{ '1' == 1 }}|{{ 1 == true }}|{{ none == false }}|{{ {'a': 1} == {'a': 1} }}|{{ m.content == m['content'] }}|{{ missing == none }}|{{ [] != [] }}
{{ range(3) | list | join(',') }}|{{ (7 // 2) ~ (7 % 3) }}|{{ m.keys() | list | join('+') }}|{{ m.get('nothing', 'else') }}|{{ 'a' in m.content }}|{{ m.content | upper }}
{% endfor -%}
"""

TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "The weather\nof a place: <sun> & 'rain'",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "Where, e.g. Zürich"}, "unit": {"type": "string", "enum": ["C", "F"]},
        "days": {"type": "array", "items": {"type": "integer"}}, "more": {"type": ["string", "null"]},
        "deep": {"type": "object", "required": ["a"], "properties": {"a": {"type": ["number"]}, "b": {}}}}}}}]
CALL = {"role": "assistant", "content": "Let me see.", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"place": "Zürich", "days": [1, 2]}}}]}


def say(role: str, content) -> dict:
    return {"role": role, "content": content}


CHATS = {
    "one": [say("user", "Hello, wörld 👋")],
    "system": [say("system", "Be brief."), say("user", " Two  lines\nhere. ")],
    "turns": [say("user", "Hi"), say("assistant", " Hello! "), say("user", "More?\n")],
    "long": [say(["user", "assistant"][i % 2], f"turn {i}") for i in range(11)],
    "thought": [say("user", "2+2?"), say("assistant", "<think>\n\n  four\n</think>\n\n\n  It is 4."), say("user", "And 3+3?")],
    "reasoned": [say("user", "2+2?"), {"role": "assistant", "content": "4", "reasoning_content": "\n add \n"}],
    "tools": [say("user", "Weather?"), CALL, say("tool", "{\"t\": 21.5}"), say("tool", "sunny"), say("assistant", "<think>\nsunny\n</think>\n\nSun."), say("user", "Thanks")],
    "waiting": [say("user", "Weather?"), CALL, say("tool", "21")],
    "list": [say("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])],
    "wrong": [say("assistant", "I speak first")], "stray": [say("tool", "nobody asked")],
    "odd": [say("user", "--x a\u0085\x1c \u3000"), say("user", "\n\n -x- "), say("user", "")],
    "note": [say("note", "unseen"), say("user", "seen")],
}

CASES = [
    *(("qwen3", chat, dict(add_generation_prompt=prompt), False) for chat in ["one", "system", "turns", "long", "thought", "reasoned", "tools", "waiting"] for prompt in [False, True]),
    *(("qwen3", chat, dict(add_generation_prompt=True, enable_thinking=thinking), tools) for chat in ["one", "system", "tools"] for thinking in [False, True] for tools in [False, True]),
    *(("instruct", chat, dict(bos_token="<s>", eos_token="</s>"), False) for chat in ["one", "turns", "long", "system", "wrong"]),
    *(("roles", chat, dict(eos_token="<|eot|>", add_generation_prompt=True), tools) for chat in ["one", "system", "long", "note"] for tools in [False, True]),
    ("roles", "one", dict(eos_token="", add_generation_prompt=True, controls={"length": "short", "é": [1, 2.5, None, True]}), False),
    *(("channels", chat, dict(add_generation_prompt=True), True) for chat in ["one", "tools", "waiting", "list", "stray"]),
    ("channels", "system", dict(reasoning_effort="low"), False),
    ("python", "odd", {}, False), ("python", "one", {}, False),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("qwen3", type=pathlib.Path)
    qwen3 = json.loads(parser.parse_args().qwen3.joinpath("tokenizer_config.json").read_text())["chat_template"]
    own = dict(instruct=INSTRUCT, roles=ROLES, channels=CHANNELS, python=PYTHON)
    cases = []
    for template, chat, variables, tools in CASES:
        case = dict(template=template, chat=chat, variables=variables, tools=tools)
        try:
            [case["text"]], _ = chat_template_utils.render_jinja_template(
                [CHATS[chat]], tools=TOOLS if tools else None, chat_template=dict(own, qwen3=qwen3)[template], **variables)
        except chat_template_utils.jinja2.exceptions.TemplateError as error:
            case["error"] = str(error)
        cases.append(case)
    whole = dict(date=DATE.isoformat() + "Z", templates=own, chats=CHATS, tools=TOOLS, cases=cases)
    path = HERE / "chat.json"
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n")
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB, {len(cases)} cases, {sum('error' in c for c in cases)} refused")


if __name__ == "__main__":
    main()
